import socket
from uuid import uuid4

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    NoModelServedError,
    OverloadedError,
    ReleaseError,
    ServerUnreachableError,
    TooManyPixelsError,
    VisionOpsError,
)
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import image_input, read_answer
from visionops_assets.resources.triton_errors import to_visionops_error
from visionops_assets.settings import load_settings


def refusal(status: str, message: str) -> InferenceServerException:
    return InferenceServerException(message, status=f"StatusCode.{status}")


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses", ServerUnreachableError),
        ("UNAVAILABLE", "[request id: 1] Exceeds maximum queue size", OverloadedError),
        ("UNAVAILABLE", "Request timeout expired", DeadlineExceededError),
        ("INVALID_ARGUMENT", "in ensemble 'm', corrupt: It is cut off.", CorruptMediaError),
        ("NOT_FOUND", "Request for unknown model: 'm' is not found", NoModelServedError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceededError),
        ("CANCELLED", "CANCELLED", ServerUnreachableError),
        ("INVALID_ARGUMENT", "corrupt: The image is truncated.", CorruptMediaError),
        ("INVALID_ARGUMENT", "too_many_pixels: It has 9.", TooManyPixelsError),
        ("INVALID_ARGUMENT", "batch-size must be <= 32", VisionOpsError),
        ("INTERNAL", "Failed to process the request", VisionOpsError),
    ],
)
def test_each_refusal_becomes_the_error_a_user_can_act_on(
    status: str, message: str, expected: type[VisionOpsError]
) -> None:
    assert type(to_visionops_error(refusal(status, message), "m")) is expected


def test_a_server_that_is_not_there_is_said_in_few_words() -> None:
    message = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:8001: "
        "Failed to connect to remote host: Connection refused"
    )
    error = to_visionops_error(refusal("UNAVAILABLE", message), "m", address="here:8001")
    assert str(error) == "Triton at here:8001 does not answer: Connection refused."


def test_a_media_error_keeps_its_message_without_the_code() -> None:
    error = to_visionops_error(refusal("INVALID_ARGUMENT", "corrupt: It is truncated."), "m")
    assert str(error) == "It is truncated."


def test_a_refused_load_is_a_release_error_without_a_stack_trace() -> None:
    message = "load failed for model 'm': RuntimeError: broken\n\nAt:\n  /tmp/m/1/model.py(3): f"
    error = to_visionops_error(refusal("INVALID_ARGUMENT", message), "m", refused=ReleaseError)
    assert isinstance(error, ReleaseError)
    assert "broken" in str(error)
    assert "model.py" not in str(error)


def test_an_image_goes_as_a_batch_of_one() -> None:
    sent = image_input(b"\x00png\xff")
    assert (sent.name(), sent.shape(), sent.datatype()) == ("IMAGE", [1, 1], "BYTES")


def test_an_answer_is_read_from_the_outputs() -> None:
    prediction_id = uuid4()
    outputs = {
        "LABEL": np.array([[b"caf\xc3\xa9"]], dtype=np.object_),
        "PROBABILITIES": np.array([[0.25, 0.75]], dtype=np.float32),
        "EMBEDDING": np.array([[1.0, 2.0, 3.0]], dtype=np.float32),
        "PREDICTION_ID": np.array([[str(prediction_id).encode()]], dtype=np.object_),
        "MODEL_VERSION": np.array([[7]], dtype=np.int64),
        "SNAPSHOT_ID": np.array([[b"snapshot-1"]], dtype=np.object_),
    }
    answer = read_answer(outputs.__getitem__, "classification")
    assert answer.label == "café"
    assert answer.probabilities == (0.25, 0.75)
    assert answer.embedding == (1.0, 2.0, 3.0)
    assert answer.prediction_id == prediction_id
    assert (answer.model_version, answer.snapshot_id) == (7, "snapshot-1")


def test_a_server_that_is_down_is_named_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound, but not listening: connections are refused.
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("VISIONOPS_TRITON_GRPC_ADDRESS", address)
        load_settings.cache_clear()
        try:
            with pytest.raises(ServerUnreachableError, match=address):
                TritonServer().predict("classifier", [b"image"], task="classification")
        finally:
            load_settings.cache_clear()


def test_a_model_of_an_earlier_pipeline_is_to_be_released_again() -> None:
    with pytest.raises(NoModelServedError, match="release it again"):
        read_answer(lambda _: None, "classification")


def test_each_address_that_a_name_stands_for_is_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: str, **_: object) -> list[object]:
        addresses = {"triton": ["10.0.0.2", "10.0.0.1"], "::1": ["::1"]}.get(host)
        if addresses is None:
            raise socket.gaierror("unknown name")
        return [(0, 1, 6, "", (address, int(port))) for address in addresses for _ in range(2)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("VISIONOPS_TRITON_REPLICA_ADDRESSES", "triton:8001, [::1]:9001")
    load_settings.cache_clear()
    try:
        replicas = [server.address for server in TritonServer().replicas()]
        assert replicas == ["10.0.0.1:8001", "10.0.0.2:8001", "[::1]:9001"]
        monkeypatch.setenv("VISIONOPS_TRITON_REPLICA_ADDRESSES", "nowhere:1")
        load_settings.cache_clear()
        with pytest.raises(ServerUnreachableError, match="'nowhere:1' does not resolve"):
            TritonServer().replicas()
    finally:
        load_settings.cache_clear()
