"""Annotations and models by the clients, against a service of a few lines."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from visionops_assets.errors import RefusedError
from visionops_client import GatewayClient
from visionops_client.annotations import GivenAnnotation, Said
from visionops_client.ingest import IngestClient

KEY = UUID(int=7)
URL = "http://127.0.0.1:8080"
GIVEN = {
    "annotation_id": 4,
    "model": "birds",
    "start_s": 1.5,
    "end_s": 2.0,
    "annotation": {"label": "tit"},
    "author": "ann",
    "origin": "annotation",
    "created_at": "2026-01-31T12:00:07Z",
    "said_by_a_newer_service": True,
}
MODEL = {
    "name": "birds",
    "task": "one",
    "description": "",
    "default": False,
    "version": None,
    "since": None,
    "snapshot_id": None,
    "classes": ["owl", "tit"],
    "frame_size_px": 64,
    "accuracy": None,
    "accuracy_low": None,
    "accuracy_high": None,
}


class Service:
    """Answers as both services do, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if path == "/v1/models":
            return httpx.Response(200, json={"models": [MODEL]})
        if path.startswith("/v1/models/"):
            is_known = path.endswith("/birds")
            problem = {"code": "not_found", "detail": "No such model."}
            return httpx.Response(200 if is_known else 404, json=MODEL if is_known else problem)
        return self._annotation(request)

    def _annotation(self, request: httpx.Request) -> httpx.Response:
        answers: dict[str, Any] = {"PUT": GIVEN, "GET": {"annotations": [GIVEN]}}
        if request.method == "DELETE":
            return httpx.Response(204)
        return httpx.Response(200, json=answers[request.method])


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def gateway(service: Service) -> GatewayClient:
    return GatewayClient(URL, "key", transport=httpx.MockTransport(service), retry_for_s=0)


@pytest.fixture
def ingest(service: Service) -> IngestClient:
    return IngestClient(
        URL, SecretStr("key"), transport=httpx.MockTransport(service), retry_for_s=0
    )


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("tit", {"label": "tit"}),
        (["tit", "owl"], {"labels": ["tit", "owl"]}),
        ((), {"labels": []}),
        ({"boxes": []}, {"boxes": []}),
    ],
)
def test_what_is_said_is_sent_in_the_form_of_a_task(
    service: Service, ingest: IngestClient, gateway: GatewayClient, said: Said, sent: object
) -> None:
    found = ingest.annotate_media(KEY, said, model="birds", start_s=1.5, end_s=2)
    assert found == GivenAnnotation.model_validate(GIVEN)
    gateway.annotate_prediction(KEY, said, new_classes=True)
    assert [json.loads(request.content) for request in service.requests] == [sent, sent]
    of_media, of_prediction = service.requests
    assert (of_media.method, of_prediction.method) == ("PUT", "PUT")
    assert of_media.url.path == f"/v1/media/{KEY}/annotation"
    assert dict(of_media.url.params) == {"model": "birds", "start_s": "1.5", "end_s": "2"}
    assert of_prediction.url.path == f"/v1/predictions/{KEY}/annotation"
    assert dict(of_prediction.url.params) == {"new_classes": "true"}


def test_none_takes_back(service: Service, ingest: IngestClient, gateway: GatewayClient) -> None:
    ingest.annotate_media(KEY, None, start_s=0, end_s=2)
    gateway.annotate_prediction(KEY, None, model="birds")
    assert [request.method for request in service.requests] == ["DELETE", "DELETE"]
    asked = [dict(request.url.params) for request in service.requests]
    assert asked == [{"start_s": "0", "end_s": "2"}, {"model": "birds"}]


@pytest.mark.parametrize("of_media", [True, False])
def test_what_was_said_is_read(
    ingest: IngestClient, gateway: GatewayClient, of_media: bool
) -> None:
    read: Callable[[UUID], tuple[GivenAnnotation, ...]] = (
        ingest.annotations_of_media if of_media else gateway.annotations_of_prediction
    )
    (found,) = read(KEY)
    assert (found.annotation, found.start_s) == ({"label": "tit"}, 1.5)


def test_models_are_described_and_asked_by_their_names(
    service: Service, gateway: GatewayClient
) -> None:
    (listed,) = gateway.models()
    assert listed == gateway.model("birds")
    assert listed.classes == ("owl", "tit")
    with pytest.raises(RefusedError) as refused:
        gateway.model("a/b")
    assert refused.value.reason == "not_found"
    assert service.requests[-1].url.raw_path == b"/v1/models/a%2Fb"
