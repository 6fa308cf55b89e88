import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from tests.declared import declaration
from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import (
    CHAMPION,
    PNG,
    FakeCatalog,
    FakeTriton,
    gateway_of,
    inference,
)
from tests.vision.corpus import png_bomb
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.contracts import Scope
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    OverloadedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.services.http import known_keys

PREDICT, LABEL = "/v1/predict", f"/v1/predictions/{UUID(int=1)}/label"
RAW = {"content-type": "image/png"}


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()


@pytest.fixture
def app(triton: FakeTriton, catalog: FakeCatalog) -> FastAPI:
    return gateway_of(triton, catalog).app


@pytest.fixture
def client(app: FastAPI, catalog: FakeCatalog) -> AsgiClient:
    return AsgiClient(app, bearer_header(catalog.issue(Scope.PREDICT, Scope.LABEL)))


def listed(*images: bytes) -> dict[str, list[str]]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream"])
def test_a_raw_body_is_predicted(client: AsgiClient, triton: FakeTriton, content_type: str) -> None:
    expected = inference()
    triton.outcomes[CHAMPION] = expected
    answer = client.post(PREDICT, content=PNG, headers={"content-type": content_type})
    assert answer.status_code == 200
    assert answer.json() == {
        "label": "7",
        "labels": ["7"],
        "probability": 0.5,
        "probabilities": {"1": 0.25, "7": 0.5, "9": 0.25},
        "prediction_id": str(expected.prediction_id),
        "model_version": 3,
        "snapshot_id": "snapshot-1",
        "role": "champion",
        "drawn": is_drawn(expected.prediction_id, declaration(CHAMPION).monitoring.audit_percent),
    }
    assert triton.images == [PNG]


def test_a_form_field_is_predicted(client: AsgiClient, triton: FakeTriton) -> None:
    assert client.post(PREDICT, files={"file": PNG}).json()["label"] == "7"
    assert triton.images == [PNG]


@pytest.mark.parametrize(("top_k", "shown"), [(1, ["7"]), (2, ["7", "1"]), (9, ["7", "1", "9"])])
def test_the_best_probabilities_come_first(
    client: AsgiClient, top_k: int, shown: list[str]
) -> None:
    answer = client.post(f"{PREDICT}?top_k={top_k}", content=PNG, headers=RAW).json()
    assert list(answer["probabilities"]) == shown
    assert answer["probability"] == 0.5


@pytest.mark.parametrize("query", ["top_k=0", "top_k=x", "timeout_ms=0", "k=1"])
def test_an_unusable_parameter_is_refused_by_its_name(client: AsgiClient, query: str) -> None:
    answer = client.post(f"{PREDICT}?{query}", content=PNG, headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"].startswith(query.partition("=")[0])


@pytest.mark.parametrize(("timeout_ms", "allowed_s"), [(250, 0.25), (3_600_000, 10.0)])
def test_a_deadline_is_passed_on_up_to_the_limit(
    client: AsgiClient, triton: FakeTriton, timeout_ms: int, allowed_s: float
) -> None:
    client.post(f"{PREDICT}?timeout_ms={timeout_ms}", content=PNG, headers=RAW)
    assert triton.timeouts_s == [pytest.approx(allowed_s, abs=0.1)]


@pytest.mark.parametrize("form", [False, True])
def test_a_bad_image_of_a_list_harms_no_other(
    client: AsgiClient, triton: FakeTriton, form: bool
) -> None:
    images = [PNG, b"junk", b"", png_bomb(), PNG]
    if form:
        answer = client.post(PREDICT, files=[("files", image) for image in images])
    else:
        answer = client.post(PREDICT, json=listed(*images))
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(r["refusal"] or {}).get("code") for r in results] == [
        None,
        "unsupported_media_type",
        "empty",
        "too_many_pixels",
        None,
    ]
    assert [r["prediction"] is not None for r in results] == [True, False, False, False, True]
    assert triton.images == [PNG, PNG]


def test_what_is_no_base64_is_refused_by_itself(client: AsgiClient) -> None:
    answer = client.post(PREDICT, json={"images": ["%", *listed(PNG)["images"]]})
    refused, predicted = answer.json()["results"]
    assert (refused["refusal"]["status"], refused["refusal"]["code"]) == (422, "invalid_request")
    assert predicted["prediction"]["label"] == "7"


def test_a_list_of_which_nothing_is_answered_says_when_to_come_again(
    client: AsgiClient, triton: FakeTriton
) -> None:
    triton.outcomes[CHAMPION] = OverloadedError("The queue is full.")
    answer = client.post(PREDICT, json=listed(PNG, PNG))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"images": []}},
        {"json": {"images": ["", *["x"] * 64]}},
        {"json": {"image": "x"}},
        {"files": [("files", PNG)] * 65},
        {"files": [("file", PNG), ("file", PNG)]},
        {"files": [("file", PNG), ("files", PNG)]},
        {"files": {"other": PNG}},
        {"files": {"file": (None, PNG)}},
    ],
)
def test_a_list_or_form_that_does_not_fit_is_refused(
    client: AsgiClient, triton: FakeTriton, body: dict[str, Any]
) -> None:
    answer = client.post(PREDICT, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert triton.images == []


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"junk", 415, "unsupported_media_type"),
        (png_bomb(), 422, "too_many_pixels"),
    ],
)
def test_what_a_look_at_the_header_tells_is_refused_without_triton(
    client: AsgiClient, triton: FakeTriton, image: bytes, status: int, code: str
) -> None:
    answer = client.post(PREDICT, content=image, headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert triton.images == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CorruptMediaError("It is truncated."), 422),
        (ServerUnreachableError("It is down.", public=True), 503),
        (DeadlineExceededError("Too slow.", public=True), 504),
        (OverloadedError("The queue is full."), 429),
    ],
)
def test_an_error_is_answered_as_a_problem(
    client: AsgiClient, triton: FakeTriton, error: VisionOpsError, status: int
) -> None:
    triton.outcomes[CHAMPION] = error
    answer = client.post(PREDICT, content=PNG, headers=RAW)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == error.code
    assert answer.json()["detail"] == str(error)
    assert ("retry-after" in answer.headers) == (status in {429, 503})


@pytest.mark.parametrize("form", [False, True])
def test_an_image_above_the_limit_is_refused_before_it_is_predicted(
    triton: FakeTriton, catalog: FakeCatalog, form: bool
) -> None:
    app = gateway_of(triton, catalog, max_predicted_image_bytes=10).app
    client = AsgiClient(app, bearer_header(catalog.issue(Scope.PREDICT)))
    body: dict[str, Any] = {"files": {"file": PNG}} if form else {"content": PNG, "headers": RAW}
    answer = client.post(PREDICT, **body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert triton.images == []


def test_other_content_is_refused_with_what_to_send_instead(client: AsgiClient) -> None:
    answer = client.post(PREDICT, content=b"x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/octet-stream" in answer.json()["detail"]


def test_a_body_that_stops_coming_is_given_up(triton: FakeTriton, catalog: FakeCatalog) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield PNG[:10]
        await asyncio.sleep(5)

    app = gateway_of(triton, catalog, body_idle_timeout_s=0.05).app
    client = AsgiClient(app, bearer_header(catalog.issue(Scope.PREDICT)))
    answer = client.post(PREDICT, content=body(), headers=RAW)
    assert (answer.status_code, answer.json()["code"]) == (408, "slow_body")


def test_more_than_fits_is_refused_at_once_and_before_its_body_is_read(
    triton: FakeTriton, catalog: FakeCatalog
) -> None:
    app = gateway_of(triton, catalog, gateway_max_in_flight=4).app
    headers = bearer_header(catalog.issue(Scope.PREDICT)) | RAW
    pieces_read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pieces_read
        pieces_read += 1
        yield PNG

    async def flood() -> tuple[list[httpx.Response], httpx.Response]:
        triton.is_held = asyncio.Event()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            first = [
                asyncio.create_task(http.post(PREDICT, content=PNG, headers=headers))
                for _ in range(2)
            ]
            while len(triton.asked) < 2:
                await asyncio.sleep(0)
            refused = await http.post(PREDICT, content=body(), headers=headers)
            other = bearer_header(catalog.issue(Scope.PREDICT, name="other")) | RAW
            first.append(asyncio.create_task(http.post(PREDICT, content=PNG, headers=other)))
            while len(triton.asked) < 3:
                await asyncio.sleep(0)
            triton.is_held.set()
            return await asyncio.gather(*first), refused

    answers, refused = asyncio.run(flood())
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert pieces_read == 0
    metrics = AsgiClient(app).get("/metrics").text
    assert 'visionops_gateway_rejected_total{reason="in_flight"} 1.0' in metrics
    assert "visionops_gateway_in_flight 0.0" in metrics


def test_a_triton_that_does_not_answer_is_left_alone(
    client: AsgiClient, triton: FakeTriton
) -> None:
    triton.outcomes[CHAMPION] = ServerUnreachableError("It is down.")
    answers = [client.post(PREDICT, content=PNG, headers=RAW) for _ in range(7)]
    assert {answer.status_code for answer in answers} == {503}
    assert "left alone" in answers[-1].json()["detail"]
    assert len(triton.asked) == 5
    assert 'visionops_gateway_rejected_total{reason="breaker"} 2.0' in client.get("/metrics").text


def test_a_label_is_volunteered_unless_it_answers_the_draw(
    client: AsgiClient, catalog: FakeCatalog
) -> None:
    prediction_id = uuid4()
    answer = client.post(f"/v1/predictions/{prediction_id}/label", json={"label": " 7 "})
    assert answer.status_code == 201
    said = {"label_id": 1, "prediction_id": str(prediction_id), "label": "7"}
    assert answer.json() == said | {"answers_draw": False}
    (row,) = catalog.rows
    assert row.author == "client"
    assert (row.prediction_id, row.origin) == (prediction_id, "volunteered")
    assert row.payload == {"label": "7"}
    percent = declaration(CHAMPION).monitoring.audit_percent
    drawn = next(key for key in iter(uuid4, None) if is_drawn(key, percent))
    said_of_drawn = {"label": "7", "answers_draw": True}
    answer = client.post(f"/v1/predictions/{drawn}/label", json=said_of_drawn)
    assert answer.json()["answers_draw"]
    assert catalog.rows[-1].origin == "audit"


@pytest.mark.parametrize("label", ["", "  ", "x" * 201, "a\0b"])
def test_an_unusable_label_is_refused(client: AsgiClient, catalog: FakeCatalog, label: str) -> None:
    answer = client.post(LABEL, json={"label": label})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"].startswith("label: ")
    assert catalog.rows == []


def test_a_large_body_of_a_label_is_refused(client: AsgiClient) -> None:
    answer = client.post(LABEL, content=json.dumps({"label": "x" * 20_000}))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_requests_are_counted_by_route_and_not_by_path(client: AsgiClient) -> None:
    client.post(LABEL, json={"label": "7"})
    client.post(PREDICT, content=PNG, headers=RAW)
    client.get("/no/such/path")
    text = client.get("/metrics").text
    for route, status in ((PREDICT, 200), ("/v1/predictions/{prediction_id}/label", 201)):
        labels = f'method="POST",route="{route}",status="{status}"'
        assert f"visionops_gateway_requests_total{{{labels}}} 1.0" in text
        assert f'visionops_gateway_request_seconds_count{{route="{route}"}} 1.0' in text
    assert "/no/such/path" not in text


@pytest.mark.parametrize("path", [PREDICT, LABEL])
def test_a_request_without_a_key_is_refused(
    app: FastAPI, triton: FakeTriton, catalog: FakeCatalog, path: str
) -> None:
    answer = AsgiClient(app).post(path, json={"label": "7"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (triton.images, catalog.rows) == ([], [])


@pytest.mark.parametrize(("path", "scope"), [(PREDICT, Scope.LABEL), (LABEL, Scope.PREDICT)])
def test_each_route_needs_its_own_scope(
    app: FastAPI, triton: FakeTriton, catalog: FakeCatalog, path: str, scope: Scope
) -> None:
    answer = AsgiClient(app, bearer_header(catalog.issue(scope))).post(path, json={"label": "7"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (triton.images, catalog.rows) == ([], [])


def test_either_header_takes_the_key(app: FastAPI, catalog: FakeCatalog) -> None:
    key = catalog.issue(Scope.PREDICT).get_secret_value()
    answer = AsgiClient(app, {"X-API-Key": key}).post(PREDICT, content=PNG, headers=RAW)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_probes_and_documents_need_no_key(app: FastAPI, path: str) -> None:
    assert AsgiClient(app).get(path).status_code == 200


def test_a_route_says_which_methods_it_has(client: AsgiClient) -> None:
    answer = client.get(PREDICT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_it_is_healthy_but_not_ready_without_triton_and_catalog(
    client: AsgiClient, triton: FakeTriton, catalog: FakeCatalog
) -> None:
    triton.error_of_check = ServerUnreachableError("It is down.")
    catalog.is_down = True
    assert client.get("/healthz").json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    assert answer.json()["detail"] == "Not ready: no answer from Triton, the catalog."


def test_without_the_catalog_known_keys_predict_on_and_labels_wait(
    client: AsgiClient, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(PREDICT, content=PNG, headers=RAW)
    assert client.get("/readyz").status_code == 200
    catalog.is_down = True
    monkeypatch.setattr("visionops_assets.services.http.health.KEPT_S", 0.0)
    monkeypatch.setattr(known_keys, "FRESH_S", 0.0)
    assert client.get("/readyz").status_code == 200
    assert client.post(PREDICT, content=PNG, headers=RAW).status_code == 200
    assert client.post(LABEL, json={"label": "7"}).status_code == 503


def test_openapi_says_what_protected_routes_answer(client: AsgiClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/predict", "/v1/predictions/{prediction_id}/label"):
        route = paths[path]["post"]
        assert route["security"]
        for status in ("401", "403", "408", "413", "422", "429", "503"):
            assert list(route["responses"][status]["content"]) == ["application/problem+json"]
    parameters = {parameter["name"] for parameter in paths["/v1/predict"]["post"]["parameters"]}
    assert parameters == {"top_k", "timeout_ms", "keep_image", "source", "X-Sticky-Key"}


@pytest.mark.parametrize(
    ("query", "body", "kept"),
    [
        ("", {"content": PNG, "headers": RAW}, 0),
        ("?keep_image=false", {"content": PNG, "headers": RAW}, 0),
        ("?keep_image=true", {"content": PNG, "headers": RAW}, 1),
        ("?keep_image=true", {"files": {"file": PNG}}, 1),
        ("", {"files": {"file": PNG}, "data": {"keep_image": "true"}}, 1),
        ("", {"files": [("files", PNG)] * 2, "data": {"keep_image": "true"}}, 2),
        ("", {"files": [("files", PNG)] * 2, "data": {"keep_image": "false"}}, 0),
        ("?keep_image=true", {"json": listed(PNG, PNG)}, 2),
        ("", {"json": {**listed(PNG, PNG), "keep_image": True}}, 2),
        ("?keep_image=true", {"json": {**listed(PNG, PNG), "keep_image": False}}, 2),
        ("", {"json": listed(PNG, PNG)}, 0),
    ],
)
def test_images_are_kept_for_who_asks_by_query_or_body(
    client: AsgiClient, triton: FakeTriton, query: str, body: dict[str, Any], kept: int
) -> None:
    assert client.post(PREDICT + query, **body).status_code == 200
    assert triton.kept == [PNG] * kept


@pytest.mark.parametrize(("query", "source"), [("", ""), ("?source=gate-7", "gate-7")])
def test_triton_is_told_the_source_of_an_image(
    client: AsgiClient, triton: FakeTriton, query: str, source: str
) -> None:
    assert client.post(PREDICT + query, content=PNG, headers=RAW).status_code == 200
    assert triton.sources == [source]
    refused = client.post(f"{PREDICT}?source=a%00b", content=PNG, headers=RAW)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?keep_image=perhaps", {"content": PNG, "headers": RAW}),
        ("", {"files": {"file": PNG}, "data": {"keep_image": "perhaps"}}),
        ("?keep_image=1", {"content": PNG, "headers": RAW}),
        ("", {"files": {"file": PNG}, "data": {"keep_image": ""}}),
        ("", {"json": {**listed(PNG), "keep_image": "true"}}),
        ("", {"json": {**listed(PNG), "keep_image": 1}}),
    ],
)
def test_what_is_neither_true_nor_false_is_refused_by_its_name(
    client: AsgiClient, triton: FakeTriton, query: str, body: dict[str, Any]
) -> None:
    answer = client.post(PREDICT + query, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "keep_image" in answer.json()["detail"]
    assert triton.images == []
