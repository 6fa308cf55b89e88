"""The client of the gateway, against a service of a few lines and a clock that does not tick."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_client import GatewayClient, PredictedImage, RefusedImage
from visionops_client import gateway as module
from visionops_client.gateway import MAX_LIST_BYTES, MAX_LIST_IMAGES, _lists
from visionops_client.retrying import Retrying

URL = "http://127.0.0.1:8081"


def prediction(label: str = "7") -> dict[str, Any]:
    return {
        "label": label,
        "probability": 1.0,
        "probabilities": {label: 1.0},
        "prediction_id": str(uuid4()),
        "model_version": 3,
        "snapshot_id": "snapshot-1",
        "role": "champion",
        "said_by_a_newer_service": True,
    }


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status": status, "code": code, "detail": f"about {code}"}
    return httpx.Response(status, json=body, headers=headers)


class Service:
    """Answers in turn, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Callable[[httpx.Request], httpx.Response]):
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        return answer if isinstance(answer, httpx.Response) else answer(request)


@pytest.fixture
def pauses_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    def retrying(retry_for_s: float) -> Retrying:
        return Retrying(retry_for_s, clock_s=lambda: sum(pauses), pause=pauses.append)

    monkeypatch.setattr(module, "Retrying", retrying)
    return pauses


def client_of(service: Service, **options: Any) -> GatewayClient:
    return GatewayClient(URL, "vo_secret", transport=httpx.MockTransport(service), **options)


def list_of(*results: dict[str, Any] | str) -> httpx.Response:
    """Answer a list: predictions, and refusals by their code."""
    statuses = {"overloaded": 429, "server_unreachable": 503, "corrupt": 422}
    return httpx.Response(
        200,
        json={
            "results": [
                {
                    "prediction": None,
                    "refusal": {"status": statuses[result], "code": result, "detail": "x"},
                }
                if isinstance(result, str)
                else {"prediction": result, "refusal": None}
                for result in results
            ]
        },
    )


def test_an_image_is_predicted_with_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"png")
    service = Service(httpx.Response(200, json=prediction()))
    with client_of(service) as client:
        answer = client.predict(
            tmp_path / "image.png", top_k=2, timeout_s=0.25, sticky_key="camera-1"
        )
    assert (answer.label, answer.model_version, answer.role) == ("7", 3, "champion")
    (request,) = service.requests
    assert request.content == b"png"
    assert dict(request.url.params) == {"top_k": "2", "timeout_ms": "250"}
    assert request.headers["x-sticky-key"] == "camera-1"
    assert request.headers["authorization"] == "Bearer vo_secret"


def test_images_are_kept_if_that_is_asked_for() -> None:
    service = Service(httpx.Response(200, json=prediction()), list_of(prediction()))
    with client_of(service) as client:
        client.predict(b"png", keep_image=True)
        client.predict_many([b"png"], keep_image=True)
    assert [request.url.params["keep_image"] for request in service.requests] == ["true"] * 2


def test_it_comes_again_when_it_was_told_to(pauses_s: list[float]) -> None:
    service = Service(
        problem(429, "overloaded", **{"Retry-After": "2"}),
        problem(503, "server_unreachable", **{"Retry-After": "5"}),
        httpx.Response(200, json=prediction()),
    )
    assert client_of(service).predict(b"png").label == "7"
    assert pauses_s[0] >= 2
    assert pauses_s[1] >= 5


def test_a_deadline_ends_the_attempts_too(pauses_s: list[float]) -> None:
    service = Service(
        problem(504, "deadline_exceeded"), *[problem(503, "x", **{"Retry-After": "1"})]
    )
    with pytest.raises(ServerUnreachableError):
        client_of(service).predict(b"png", timeout_s=0.5)
    assert sum(pauses_s) <= 0.5


def test_an_image_that_is_refused_is_not_sent_again() -> None:
    service = Service(problem(422, "corrupt"))
    with pytest.raises(RefusedError) as error:
        client_of(service).predict(b"png")
    assert (error.value.status, error.value.reason) == (422, "corrupt")
    assert len(service.requests) == 1


def test_another_server_is_told_apart() -> None:
    with pytest.raises(ServerUnreachableError, match="does not answer as VisionOps does"):
        client_of(Service(httpx.Response(200, json={}))).predict(b"png")


def test_of_a_list_only_what_came_at_a_bad_time_is_sent_again(pauses_s: list[float]) -> None:
    service = Service(
        list_of(prediction("a"), "overloaded", "corrupt", "server_unreachable"),
        list_of(prediction("b"), prediction("d")),
    )
    outcomes = client_of(service).predict_many([b"first", b"second", b"third", b"fourth"])
    assert [o.label if isinstance(o, PredictedImage) else o.code for o in outcomes] == [
        "a",
        "b",
        "corrupt",
        "d",
    ]
    assert isinstance(outcomes[2], RefusedImage)
    again = service.requests[1].content
    assert [image in again for image in (b"first", b"second", b"third", b"fourth")] == [
        False,
        True,
        False,
        True,
    ]
    assert len(pauses_s) == 1


@given(st.lists(st.integers(0, MAX_LIST_BYTES // 3), max_size=200))
def test_lists_hold_all_images_in_order_and_are_as_long_as_they_may_be(sizes: list[int]) -> None:
    # Of what the images are made does not matter; memory for all of them would.
    images = cast("list[bytes]", [Sized(size) for size in sizes])
    lists = list(_lists(images))
    assert [image for listed in lists for image in listed] == images
    for listed in lists:
        assert 0 < len(listed) <= MAX_LIST_IMAGES
        assert sum(len(image) for image in listed) <= MAX_LIST_BYTES


class Sized:
    """Has a length, and no bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def test_a_label_is_given() -> None:
    prediction_id = uuid4()
    answer = {"label_id": 1, "prediction_id": str(prediction_id), "label": "7"}
    service = Service(httpx.Response(201, json=answer))
    assert client_of(service).label(prediction_id, "7").label_id == 1
    (request,) = service.requests
    assert request.url.path == f"/v1/predictions/{prediction_id}/label"
    assert json.loads(request.content) == {"label": "7"}
    asked = Service(httpx.Response(201, json=answer))
    client_of(asked).label(prediction_id, "7", answers_draw=True)
    assert json.loads(asked.requests[0].content) == {"label": "7", "answers_draw": True}


def test_a_client_program_does_not_load_the_pipeline() -> None:
    code = (
        "import sys; from visionops_client import GatewayClient; "
        "print({'dagster', 'numpy', 'sqlalchemy', 'torch', 'tritonclient'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"
