"""The gateway's page, its sign-in and its frames, without a browser and without servers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import PNG, FakeCatalog, FakeTriton, gateway_of
from tests.vision.corpus import picture, png_bomb, saved
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.schema import ApiKey, Snapshot
from visionops_assets.contracts import PreprocessingSpec, Scope
from visionops_assets.contracts.preprocessing import BlurMask
from visionops_assets.errors import UnauthenticatedError
from visionops_assets.services.gateway import frames, sessions
from visionops_assets.services.gateway.browser import FOLDER
from visionops_assets.services.gateway.sessions import version_url
from visionops_assets.services.gateway.shares import Shares
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import decode_frame, encode_frame, preprocess_image

SESSION, FRAME = "/v1/session", "/v1/frame?snapshot_id=ds-1"
FROM_THE_PAGE = {"sec-fetch-site": "same-origin"}
SPEC = PreprocessingSpec(size_px=24, resize="letterbox", colour="gray")


@pytest.fixture
def catalog() -> FakeCatalog:
    catalog = FakeCatalog()
    catalog.snapshots["ds-1"] = Snapshot(snapshot_id="ds-1", spec=SPEC.model_dump())
    return catalog


@pytest.fixture
def app(catalog: FakeCatalog) -> Iterator[FastAPI]:
    gateway = gateway_of(FakeTriton(), catalog)
    yield gateway.app
    gateway.frames.close()


@pytest.fixture
def client(app: FastAPI) -> AsgiClient:
    return AsgiClient(app)


def signed_in(client: AsgiClient, catalog: FakeCatalog, *scopes: Scope) -> dict[str, str]:
    """Sign in by a key, and return the headers that the page's requests have."""
    key = catalog.issue(*scopes, name="me").get_secret_value()
    answer = client.post(SESSION, json={"key": f" {key}\n"}, headers=FROM_THE_PAGE)
    assert answer.status_code == 200, answer.text
    assert key not in answer.text
    return FROM_THE_PAGE | {"cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_the_page_runs_no_script_but_its_own_and_asks_nobody_else(client: AsgiClient) -> None:
    page = client.get("/")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert re.findall(r"\son\w+=|\sstyle=|<style|<script>", page.text) == []


def test_the_page_says_what_a_probability_is_and_is_not(client: AsgiClient) -> None:
    page = " ".join(client.get("/").text.split())
    assert "confident" not in page
    meaning = page.partition('<p id="meaning" class="quiet">')[2].partition("</p>")[0]
    for words in ("the model's own estimate", "no promise", "no threshold", "something else"):
        assert words in meaning


def test_every_file_of_the_page_is_served_and_none_is_of_elsewhere(client: AsgiClient) -> None:
    page = client.get("/").text
    addresses = [a for a in re.findall(r'(?:src|href)="([^"]+)"', page) if a != "/docs"]
    modules = re.findall(r'from "\./([^"]+)"', (FOLDER / "page.js").read_text())
    addresses += [f"/page/{name}" for name in modules]
    assert {Path(address).name for address in addresses} | {"index.html"} == {
        path.name for path in FOLDER.iterdir()
    }
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == "no-cache"
    for path in FOLDER.iterdir():
        foreign = re.findall(r"(?:https?:)?//[\w.]+", path.read_text())
        assert set(foreign) <= {"http://www.w3.org"}, path


def test_no_file_beside_the_page_is_served(client: AsgiClient) -> None:
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/"):
        assert client.get(path).status_code == 404


def test_a_key_signs_in_and_the_cookie_then_predicts_and_labels(
    client: AsgiClient, catalog: FakeCatalog
) -> None:
    headers = signed_in(client, catalog, Scope.PREDICT, Scope.LABEL)
    who = client.get(SESSION, headers=headers).json()
    assert (who["name"], who["may_label"], who["model_name"]) == ("me", True, "classifier")
    picture = headers | {"content-type": "image/png"}
    answer = client.post("/v1/predict", content=PNG, headers=picture)
    assert answer.json()["label"] == "7"
    label_path = f"/v1/predictions/{answer.json()['prediction_id']}/label"
    assert client.post(label_path, json={"label": "9"}, headers=headers).status_code == 201
    assert [row.payload for row in catalog.rows] == [{"label": "9"}]


def test_another_page_of_this_machine_can_do_nothing_with_the_cookie(
    client: AsgiClient, catalog: FakeCatalog
) -> None:
    headers = signed_in(client, catalog, Scope.PREDICT, Scope.LABEL)
    headers |= {"sec-fetch-site": "same-site", "content-type": "image/png"}
    for answer in (
        client.post("/v1/predict", content=PNG, headers=headers),
        client.post(FRAME, content=PNG, headers=headers),
        client.post(f"/v1/predictions/{'0' * 32}/label", content=b"{}", headers=headers),
        client.request("DELETE", SESSION, headers=headers),
        client.post(SESSION, json={"key": "mine"}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert catalog.rows == []


def test_a_program_with_a_key_needs_no_origin(client: AsgiClient, catalog: FakeCatalog) -> None:
    headers = bearer_header(catalog.issue(Scope.PREDICT)) | {"content-type": "image/png"}
    assert client.post("/v1/predict", content=PNG, headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["", "wrong", f"vo_00000000_{'y' * 43}"])
def test_a_wrong_key_is_refused_and_sets_no_cookie(client: AsgiClient, key: str) -> None:
    answer = client.post(SESSION, json={"key": key}, headers=FROM_THE_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "set-cookie" not in answer.headers


def test_a_key_that_may_not_predict_does_not_open_the_page(
    client: AsgiClient, catalog: FakeCatalog
) -> None:
    key = catalog.issue(Scope.INGEST).get_secret_value()
    answer = client.post(SESSION, json={"key": key}, headers=FROM_THE_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "set-cookie" not in answer.headers


def test_who_may_not_label_is_not_asked_to(client: AsgiClient, catalog: FakeCatalog) -> None:
    headers = signed_in(client, catalog, Scope.PREDICT)
    assert client.get(SESSION, headers=headers).json()["may_label"] is False


@pytest.mark.parametrize("body", [{}, {"key": "a", "once": "b"}, {"name": "a"}])
def test_a_sign_in_is_by_one_thing(client: AsgiClient, body: dict[str, str]) -> None:
    answer = client.post(SESSION, json=body, headers=FROM_THE_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_guesses_of_links_are_limited(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_session: object, _secret: str) -> tuple[ApiKey, SecretStr]:
        raise UnauthenticatedError("This link is not known here.")

    def guess() -> httpx.Response:
        return client.post(SESSION, json={"once": "x" * 43}, headers=FROM_THE_PAGE)

    monkeypatch.setattr(sessions, "redeem", refuse)
    assert {guess().status_code for _ in range(60)} == {401, 429}


def test_a_link_signs_in_by_the_key_that_it_is_exchanged_for(
    client: AsgiClient, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = catalog.issue(Scope.PREDICT, Scope.LABEL, name="link-1")
    row = next(iter(catalog.keys.values()))
    monkeypatch.setattr(sessions, "redeem", lambda _session, _secret: (row, key))
    answer = client.post(SESSION, json={"once": "x" * 43}, headers=FROM_THE_PAGE)
    # Nothing but the exchange may refuse: the link is used up.
    assert catalog.queries == 0
    assert (answer.json()["name"], answer.json()["may_label"]) == ("link-1", True)
    assert answer.headers["set-cookie"].startswith(f"visionops_key={key.get_secret_value()};")


def test_a_revoked_key_ends_the_session(
    client: AsgiClient, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionops_assets.services.http.known_keys.FRESH_S", 0.0)
    headers = signed_in(client, catalog, Scope.PREDICT)
    catalog.revoke_all()
    assert client.get(SESSION, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            "http://127.0.0.1:5000",
            "http://127.0.0.1:5000/#/models/classifier/versions/{version}"
            "?workflowType=machine_learning",
        ),
        ("http://mlflow:5000", None),
        ("sqlite:///runs.db", None),
    ],
)
def test_a_version_is_linked_where_browsers_reach_mlflow(address: str, shown: str | None) -> None:
    settings = Settings(mlflow_tracking_uri=address)
    assert version_url(settings, "classifier") == shown


def frame_of(client: AsgiClient, catalog: FakeCatalog, image: bytes, path: str = FRAME) -> Any:
    headers = bearer_header(catalog.issue(Scope.PREDICT)) | {"content-type": "image/jpeg"}
    return client.post(path, content=image, headers=headers)


def test_a_frame_is_what_the_network_sees(client: AsgiClient, catalog: FakeCatalog) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    image = cv2.imencode(".jpg", pixels)[1].tobytes()
    answer = frame_of(client, catalog, image)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    expected = preprocess_image(image, SPEC, max_pixels=10_000)
    np.testing.assert_array_equal(decode_frame(answer.content), expected)


def test_a_frame_has_the_filters_of_its_source(
    client: AsgiClient, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = PreprocessingSpec(size_px=16, filters=(BlurMask(sources=("gate-7",)),), jpeg_quality=50)
    snapshot = Snapshot(snapshot_id="ds-9", spec=mask.model_dump(mode="json"))
    monkeypatch.setattr(frames, "find_snapshot", lambda *_: snapshot)
    image = encode_frame(np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8))
    plain, masked = (
        decode_frame(frame_of(client, catalog, image, "/v1/frame?snapshot_id=ds-9" + query).content)
        for query in ("", "&source=gate-7")
    )
    expected = preprocess_image(image, PreprocessingSpec(size_px=16), max_pixels=10_000)
    assert np.array_equal(plain, expected)
    assert masked.std() < plain.std() / 2


@pytest.mark.parametrize(
    ("image", "path", "status", "code"),
    [
        (b"", FRAME, 422, "empty"),
        (b"junk", FRAME, 415, "unsupported_media_type"),
        (PNG[:-30], FRAME, 422, "corrupt"),
        (png_bomb(), FRAME, 422, "too_many_pixels"),
        (saved(picture(), "AVIF"), FRAME, 415, "unsupported_encoding"),
        (PNG, "/v1/frame?snapshot_id=ds-2", 404, "not_found"),
        (PNG, "/v1/frame?snapshot_id=../x", 422, "invalid_request"),
        (PNG, "/v1/frame", 422, "invalid_request"),
    ],
)
def test_a_frame_that_cannot_be_made_is_a_problem(
    client: AsgiClient, catalog: FakeCatalog, image: bytes, path: str, status: int, code: str
) -> None:
    answer = frame_of(client, catalog, image, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_list_has_no_frame(client: AsgiClient, catalog: FakeCatalog) -> None:
    headers = bearer_header(catalog.issue(Scope.PREDICT))
    answer = client.post(FRAME, files=[("files", PNG), ("files", PNG)], headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_more_frames_than_may_wait_are_told_to_come_again(
    client: AsgiClient, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shares, "fits", lambda *_: False)
    answer = frame_of(client, catalog, PNG)
    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "1"


def test_the_pages_own_routes_are_no_part_of_the_documented_api(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    assert "/v1/frame" in paths
    assert not {"/", SESSION} & paths.keys()
    assert urlsplit(SESSION).path.startswith("/v1/")
