import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi import FastAPI
from tritonclient.utils import InferenceServerException

from tests.services.asgi_client import AsgiClient
from tests.services.key_catalog import KeyCatalog
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.schema import Label
from visionops_assets.contracts import Scope
from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    NoModelServedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.services.gateway import body
from visionops_assets.services.gateway.app import create_app
from visionops_assets.services.gateway.predictor import PredictionAnswer, Predictor
from visionops_assets.services.http_server import FORM_OVERHEAD_BYTES
from visionops_assets.settings import Settings

ANSWER = PredictionAnswer(
    label="7",
    probability=0.9,
    probabilities={"1": 0.1, "7": 0.9},
    prediction_id=uuid4(),
    model_version=3,
)


class FakePredictor:
    def __init__(self) -> None:
        self.images: list[bytes] = []
        self.error: VisionOpsError | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        yield

    async def check(self) -> None:
        if self.error is not None:
            raise self.error

    async def predict(self, image: bytes) -> PredictionAnswer:
        self.images.append(image)
        if self.error is not None:
            raise self.error
        return ANSWER


class FakeCatalog(KeyCatalog):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Label] = []

    def add(self, row: Label) -> None:
        self.rows.append(row)

    def flush(self) -> None:
        self.rows[-1].label_id = len(self.rows)


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()


@pytest.fixture
def app(predictor: FakePredictor, catalog: FakeCatalog) -> FastAPI:
    return create_app(cast("Predictor", predictor), cast("Catalog", catalog), Settings())


@pytest.fixture
def client(app: FastAPI, catalog: FakeCatalog) -> AsgiClient:
    return AsgiClient(app, bearer_header(catalog.issue(Scope.PREDICT, Scope.LABEL)))


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream"])
def test_a_raw_body_is_predicted(
    client: AsgiClient, predictor: FakePredictor, content_type: str
) -> None:
    answer = client.post("/v1/predict", content=b"png", headers={"content-type": content_type})
    assert answer.status_code == 200
    assert answer.json() == ANSWER.model_dump(mode="json")
    assert predictor.images == [b"png"]


def test_a_form_field_is_predicted(client: AsgiClient, predictor: FakePredictor) -> None:
    assert client.post("/v1/predict", files={"file": b"png"}).status_code == 200
    assert predictor.images == [b"png"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CorruptMediaError("It is truncated."), 422),
        (NoModelServedError("Release one."), 503),
        (ServerUnreachableError("It is down."), 503),
        (DeadlineExceededError("Too slow."), 504),
    ],
)
def test_an_error_is_answered_as_a_problem(
    client: AsgiClient, predictor: FakePredictor, error: VisionOpsError, status: int
) -> None:
    predictor.error = error
    answer = client.post("/v1/predict", content=b"x", headers={"content-type": "image/png"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == error.code
    assert answer.json()["detail"] == str(error)


@pytest.mark.parametrize("form", [False, True])
def test_a_body_above_the_limit_is_refused_before_it_is_predicted(
    client: AsgiClient, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch, form: bool
) -> None:
    monkeypatch.setattr(body, "MAX_IMAGE_BYTES", 10)
    if form:
        answer = client.post("/v1/predict", files={"file": b"12345678901"})
    else:
        headers = {"content-type": "image/png"}
        answer = client.post("/v1/predict", content=b"12345678901", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert predictor.images == []


def test_other_content_is_refused_with_what_to_send_instead(client: AsgiClient) -> None:
    answer = client.post("/v1/predict", json={"image": "?"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/octet-stream" in answer.json()["detail"]


def test_a_form_without_the_field_is_refused(client: AsgiClient) -> None:
    answer = client.post("/v1/predict", files={"other": b"png"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_label_is_added_as_feedback(client: AsgiClient, catalog: FakeCatalog) -> None:
    prediction_id = uuid4()
    answer = client.post(f"/v1/predictions/{prediction_id}/label", json={"label": " 7 "})
    assert answer.status_code == 201
    assert answer.json() == {"label_id": 1, "prediction_id": str(prediction_id), "label": "7"}
    (row,) = catalog.rows
    assert (row.prediction_id, row.label, row.origin) == (prediction_id, "7", "feedback")


@pytest.mark.parametrize("label", ["", "  ", "x" * 201, "a\0b"])
def test_an_unusable_label_is_refused(client: AsgiClient, catalog: FakeCatalog, label: str) -> None:
    answer = client.post(f"/v1/predictions/{uuid4()}/label", json={"label": label})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert catalog.rows == []


def test_requests_are_counted_by_route_and_not_by_path(client: AsgiClient) -> None:
    client.post(f"/v1/predictions/{uuid4()}/label", json={"label": "7"})
    client.get("/no/such/path")
    text = client.get("/metrics").text
    route = "/v1/predictions/{prediction_id}/label"
    assert (
        f'visionops_gateway_requests_total{{method="POST",route="{route}",status="201"}} 1.0'
        in text
    )
    assert "/no/such/path" not in text


PREDICT, LABEL = "/v1/predict", f"/v1/predictions/{uuid4()}/label"


@pytest.mark.parametrize("path", [PREDICT, LABEL])
def test_a_request_without_a_key_is_refused(
    app: FastAPI, predictor: FakePredictor, catalog: FakeCatalog, path: str
) -> None:
    answer = AsgiClient(app).post(path, json={"label": "7"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (predictor.images, catalog.rows) == ([], [])


@pytest.mark.parametrize(("path", "scope"), [(PREDICT, Scope.LABEL), (LABEL, Scope.PREDICT)])
def test_each_route_needs_its_own_scope(
    app: FastAPI, predictor: FakePredictor, catalog: FakeCatalog, path: str, scope: Scope
) -> None:
    answer = AsgiClient(app, bearer_header(catalog.issue(scope))).post(path, json={"label": "7"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (predictor.images, catalog.rows) == ([], [])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_probes_and_documents_need_no_key(app: FastAPI, path: str) -> None:
    assert AsgiClient(app).get(path).status_code == 200


def test_a_large_body_of_a_label_is_refused(client: AsgiClient) -> None:
    label = b"x" * (body.MAX_IMAGE_BYTES + FORM_OVERHEAD_BYTES + 1)
    answer = client.post(LABEL, content=label)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_it_is_healthy_but_not_ready_without_triton_and_catalog(
    client: AsgiClient, predictor: FakePredictor, catalog: FakeCatalog
) -> None:
    predictor.error = ServerUnreachableError("It is down.")
    catalog.is_down = True
    assert client.get("/healthz").json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    assert answer.json()["detail"] == "Not ready: no answer from Triton, the catalog."


def test_openapi_says_what_protected_routes_answer(client: AsgiClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/predict", "/v1/predictions/{prediction_id}/label"):
        route = paths[path]["post"]
        assert route["security"]
        for status in ("401", "403", "413", "422", "429", "503"):
            assert list(route["responses"][status]["content"]) == ["application/problem+json"]


class FakeTriton:
    """Answers with the next of `versions`; only the last of them still has a configuration."""

    def __init__(self, versions: list[int]) -> None:
        self.versions = versions
        self.configs_asked_for = 0

    async def infer(self, *_: Any, **__: Any) -> Any:
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        outputs = {
            "LABEL": np.array([[b"b"]], dtype=np.object_),
            "PROBABILITIES": np.array([[0.25, 0.75]], dtype=np.float32),
            "EMBEDDING": np.array([[0.0]], dtype=np.float32),
            "PREDICTION_ID": np.array([[str(UUID(int=version)).encode()]], dtype=np.object_),
            "MODEL_VERSION": np.array([[version]], dtype=np.int64),
        }
        return SimpleNamespace(as_numpy=outputs.__getitem__)

    async def get_model_config(self, _: str, version: str, **__: Any) -> Any:
        self.configs_asked_for += 1
        if int(version) != self.versions[-1]:
            raise InferenceServerException("not found", status="StatusCode.NOT_FOUND")
        classes = SimpleNamespace(string_value=json.dumps(["a", "b"]))
        return SimpleNamespace(config=SimpleNamespace(parameters={"classes": classes}))


def predictor_of(triton: FakeTriton) -> Predictor:
    predictor = Predictor("unused", "classifier")
    predictor._client = triton
    return predictor


def test_classes_are_asked_for_once_a_version() -> None:
    triton = FakeTriton([1])
    predictor = predictor_of(triton)

    async def predict_thrice() -> list[PredictionAnswer]:
        return [await predictor.predict(b"image") for _ in range(3)]

    answers = asyncio.run(predict_thrice())
    assert answers[0].probabilities == {"a": 0.25, "b": 0.75}
    assert (answers[0].label, answers[0].probability) == ("b", 0.75)
    assert triton.configs_asked_for == 1


def test_an_image_answered_by_a_version_just_replaced_is_asked_of_its_successor() -> None:
    answer = asyncio.run(predictor_of(FakeTriton([1, 2])).predict(b"image"))
    assert answer.model_version == 2
    assert answer.prediction_id == UUID(int=2)
