"""Several models of one gateway: each is asked by its name, and described."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.catalog.standings import version
from tests.services.asgi_client import AsgiClient
from tests.services.asgi_websocket import AsgiWebSocket, opened
from tests.services.gateway_fakes import CHAMPION, OTHER, PNG, FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.schema import Release, Snapshot
from visionops_assets.contracts import Scope
from visionops_assets.services.gateway import models as module
from visionops_assets.services.gateway.app import Gateway

RAW = {"content-type": "image/png"}
SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Bench:
    def __init__(self) -> None:
        self.triton, self.catalog = FakeTriton(), FakeCatalog()
        self.gateway: Gateway = gateway_of(self.triton, self.catalog)
        self.headers = bearer_header(self.catalog.issue(Scope.PREDICT))
        self.client = AsgiClient(self.gateway.app, self.headers)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("path", "asked", "answered"),
    [
        ("/v1/predict", CHAMPION, 3),
        (f"/v1/models/{CHAMPION}/predict", CHAMPION, 3),
        (f"/v1/models/{OTHER}/predict", OTHER, 12),
    ],
)
def test_a_model_is_asked_by_its_name_and_the_default_one_without(
    bench: Bench, path: str, asked: str, answered: int
) -> None:
    answer = bench.client.post(path, content=PNG, headers=RAW)
    assert (answer.status_code, answer.json()["model_version"]) == (200, answered)
    assert bench.triton.asked == [(asked, PNG, True)]
    many = bench.client.post(path, files=[("files", PNG), ("files", PNG)])
    assert [each["prediction"]["model_version"] for each in many.json()["results"]] == [
        answered
    ] * 2


@pytest.mark.parametrize("name", ["cats", f"{CHAMPION}-candidate", "x" * 5_000])
@pytest.mark.parametrize("method", ["post", "get"])
def test_an_unknown_model_is_refused_with_those_there_are(
    bench: Bench, name: str, method: str
) -> None:
    path = f"/v1/models/{name}"
    asked = (
        bench.client.get(path)
        if method == "get"
        else bench.client.post(f"{path}/predict", content=PNG, headers=RAW)
    )
    assert (asked.status_code, asked.json()["code"]) == (404, "not_found")
    assert f"There are: '{CHAMPION}', '{OTHER}'." in asked.json()["detail"]
    assert len(asked.text) < 500
    assert bench.triton.asked == []


def test_a_stream_is_answered_by_the_model_of_its_path(bench: Bench) -> None:
    async def test() -> None:
        url = f"/v1/models/{OTHER}/stream"
        async with opened(bench.gateway.app, url, bench.headers) as stream:
            stream.send(bytes=PNG)
            (answer,) = await stream.answers(1)
        assert answer["prediction"]["model_version"] == 12
        unknown = AsgiWebSocket(bench.gateway.app, "/v1/models/cats/stream", bench.headers)
        assert (await unknown.refusal())[0] == 404

    asyncio.run(test())


def test_each_model_is_described_with_what_serves_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = Release(model_name=CHAMPION, model_version=3, snapshot_id="ds-3", released_at=SINCE)
    bench.catalog.snapshots["ds-3"] = Snapshot(
        snapshot_id="ds-3", classes=["cat", "dog"], spec={"size_px": 96}
    )
    monkeypatch.setattr(module, "champion", lambda _, name: released if name == CHAMPION else None)
    monkeypatch.setattr(module, "newest_verdict", lambda *_: version(3).verdict)
    first, second = bench.client.get("/v1/models").json()["models"]
    assert first == {
        "name": CHAMPION,
        "task": "classification",
        "description": "",
        "default": True,
        "version": 3,
        "since": "2026-03-01T12:00:00Z",
        "snapshot_id": "ds-3",
        "classes": ["cat", "dog"],
        "frame_size_px": 96,
        "accuracy": 0.9,
        "accuracy_low": 0.83,
        "accuracy_high": 0.94,
    }
    assert (second["name"], second["default"]) == (OTHER, False)
    assert {second[name] for name in ("version", "since", "snapshot_id", "classes")} == {None}
    assert bench.client.get(f"/v1/models/{OTHER}").json() == second


def test_models_are_told_to_keys_alone(bench: Bench) -> None:
    for path in ("/v1/models", f"/v1/models/{CHAMPION}"):
        assert AsgiClient(bench.gateway.app).get(path).status_code == 401
        labeller = bearer_header(bench.catalog.issue(Scope.LABEL))
        assert AsgiClient(bench.gateway.app, labeller).get(path).status_code == 403
