"""What is asked of Triton over gRPC, and how its answers and errors are read."""

import asyncio
import json
import struct
from typing import Any
from uuid import UUID

import grpc  # type: ignore[import-untyped]
import pytest
from tritonclient.grpc import service_pb2

from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    OverloadedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.services.gateway.inference import Inference, TritonChannel


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


class FakeStub:
    """Answers with the next of `versions`; only the last of them still has a configuration."""

    def __init__(self, versions: list[int], error: Exception | None = None) -> None:
        self.versions = versions
        self.error = error
        self.configs_asked_for = 0
        self.requests: list[Any] = []

    async def ModelInfer(self, request: Any, timeout: float) -> Any:  # noqa: N802 - gRPC's name
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        contents = {
            # In an order of its own.
            "SNAPSHOT_ID": text("snapshot-1"),
            "MODEL_VERSION": struct.pack("<q", version),
            "PREDICTION_ID": text(str(UUID(int=version))),
            "PROBABILITIES": struct.pack("<2f", 0.25, 0.75),
            "LABEL": text("bé"),
        }
        answer = service_pb2.ModelInferResponse(raw_output_contents=list(contents.values()))
        for name in contents:
            answer.outputs.add(name=name)
        return answer

    async def ModelConfig(self, request: Any, timeout: float) -> Any:  # noqa: N802 - gRPC's name
        self.configs_asked_for += 1
        if int(request.version) != self.versions[-1]:
            raise rpc_error(grpc.StatusCode.NOT_FOUND, "not found")
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["classes"].string_value = json.dumps(["a", "bé"])
        return answer


def rpc_error(status: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def infer(stub: FakeStub, times: int = 1, **options: Any) -> Inference:
    channel = TritonChannel("127.0.0.1:8001")
    channel._stub = stub

    async def run() -> list[Inference]:
        return [await channel.infer("m", b"image", 2.5, **options) for _ in range(times)]

    return asyncio.run(run())[-1]


def test_an_answer_is_read_by_the_names_of_its_outputs() -> None:
    stub = FakeStub([1])
    assert infer(stub, times=3) == Inference(
        label="bé",
        classes=("a", "bé"),
        probabilities=(0.25, 0.75),
        prediction_id=UUID(int=1),
        model_version=1,
        snapshot_id="snapshot-1",
    )
    assert stub.configs_asked_for == 1


@pytest.mark.parametrize("record", [True, False])
def test_an_image_is_asked_for_with_its_deadline(record: bool) -> None:
    stub = FakeStub([1])
    infer(stub, record=record)
    (request,) = stub.requests
    assert (request.model_name, list(request.raw_input_contents)) == ("m", [text("image")])
    assert request.parameters["timeout"].int64_param == 2_500_000
    assert ("record" in request.parameters) is not record
    assert "EMBEDDING" not in {output.name for output in request.outputs}


@pytest.mark.parametrize("keep_image", [True, False])
def test_an_image_is_to_be_kept_only_if_that_is_asked_for(keep_image: bool) -> None:
    # The first answer's version was just replaced: what is asked of its successor is the same.
    stub = FakeStub([1, 2])
    infer(stub, keep_image=keep_image)
    said = [request.parameters["keep_image"].bool_param for request in stub.requests]
    assert said == [keep_image] * 2


def test_an_image_answered_by_a_version_just_replaced_is_asked_of_its_successor() -> None:
    assert infer(FakeStub([1, 2])).model_version == 2


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connection refused", ServerUnreachableError),
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", DeadlineExceededError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceededError),
        (grpc.StatusCode.INVALID_ARGUMENT, "corrupt: It is cut off.", CorruptMediaError),
        (grpc.StatusCode.INTERNAL, "stub process died", VisionOpsError),
    ],
)
def test_an_error_of_grpc_is_one_of_ours(
    status: grpc.StatusCode, details: str, expected: type[VisionOpsError]
) -> None:
    with pytest.raises(VisionOpsError) as error:
        infer(FakeStub([1], rpc_error(status, details)))
    assert type(error.value) is expected
    assert "127.0.0.1" not in str(error.value)
