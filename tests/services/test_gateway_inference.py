"""What is asked of Triton over gRPC, and how its answers and errors are read."""

import asyncio
import json
import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import grpc  # type: ignore[import-untyped]
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    NoModelServedError,
    OverloadedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.services.gateway import inference as inference_module
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.services.http.problems import detail_of
from visionops_assets.tasks.base import Answer


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


class FakeStub:
    """Answers with the next of `versions`; only the last of them still has a configuration.

    Before that it fails with each of `errors`, one a request; and with each of `configs_missed`
    when a configuration is asked for.
    """

    def __init__(self, versions: list[int], *errors: Exception) -> None:
        self.versions = versions
        self.errors = list(errors)
        self.configs_missed: list[Exception] = []
        self.configs_asked_for = 0
        self.requests: list[Any] = []
        self.timeouts_s: list[float] = []
        self.said = {"PROBABILITIES": struct.pack("<2f", 0.25, 0.75), "LABEL": text("bé")}

    async def ModelInfer(self, request: Any, timeout: float) -> Any:  # noqa: N802 - gRPC's name
        self.requests.append(request)
        self.timeouts_s.append(timeout)
        if self.errors:
            raise self.errors.pop(0)
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        contents = {
            # In an order of its own.
            "SNAPSHOT_ID": text("snapshot-1"),
            "MODEL_VERSION": struct.pack("<q", version),
            "PREDICTION_ID": text(str(UUID(int=version))),
            **self.said,
        }
        answer = service_pb2.ModelInferResponse(raw_output_contents=list(contents.values()))
        for name in contents:
            answer.outputs.add(name=name)
        return answer

    async def ModelMetadata(self, request: Any, timeout: float) -> Any:  # noqa: N802 - gRPC's name
        self.timeouts_s.append(timeout)
        return service_pb2.ModelMetadataResponse(name=request.name)

    async def ModelConfig(self, request: Any, timeout: float) -> Any:  # noqa: N802 - gRPC's name
        self.configs_asked_for += 1
        if self.configs_missed:
            raise self.configs_missed.pop(0)
        if int(request.version) != self.versions[-1]:
            raise rpc_error(grpc.StatusCode.NOT_FOUND, "not found")
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["classes"].string_value = json.dumps(["a", "bé"])
        return answer


def rpc_error(status: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def infer(
    stub: FakeStub, times: int = 1, *, task: str = "classification", **options: Any
) -> Inference:
    channel = TritonChannel("127.0.0.1:8001")
    channel._stub = stub

    async def run() -> list[Inference]:
        return [await channel.infer("m", b"image", 2.5, task=task, **options) for _ in range(times)]

    return asyncio.run(run())[-1]


def test_an_answer_is_read_by_the_names_of_its_outputs() -> None:
    stub = FakeStub([1])
    found = infer(stub, times=3)
    assert found.tensors["PROBABILITIES"] == struct.pack("<2f", 0.25, 0.75)
    assert replace(found, tensors={}) == Inference(
        answer=Answer(("bé",), (0.25, 0.75), 0.75),
        classes=("a", "bé"),
        prediction_id=UUID(int=1),
        model_version=1,
        snapshot_id="snapshot-1",
    )
    assert stub.configs_asked_for == 1


def test_models_of_several_tasks_answer_over_one_channel() -> None:
    stub = FakeStub([1])
    assert infer(stub).answer == Answer(("bé",), (0.25, 0.75), 0.75)
    stub.said = {
        "LABELS": text('["a", "bé"]'),
        "CONFIDENCE": struct.pack("<f", 0.5),
        "PROBABILITIES": struct.pack("<2f", 1.0, 0.5),
    }
    assert infer(stub, task="multilabel").answer == Answer(("a", "bé"), (1.0, 0.5), 0.5)
    of_one, of_several = ({each.name for each in sent.outputs} for sent in stub.requests)
    assert of_one ^ of_several == {"LABEL", "LABELS", "CONFIDENCE"}


@pytest.mark.parametrize("record", [True, False])
def test_an_image_is_asked_for_with_its_deadline(record: bool) -> None:
    stub = FakeStub([1])
    infer(stub, record=record)
    (request,) = stub.requests
    assert (request.model_name, list(request.raw_input_contents)) == ("m", [text("image")])
    assert 2_400_000 < request.parameters["timeout"].int64_param <= 2_500_000
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
        infer(FakeStub([1], *[rpc_error(status, details)] * 3))
    assert type(error.value) is expected
    assert "127.0.0.1" not in str(error.value)


@pytest.mark.parametrize(
    "missed",
    [
        rpc_error(grpc.StatusCode.UNAVAILABLE, "'m' version 1 is not at ready state"),
        rpc_error(grpc.StatusCode.NOT_FOUND, "'m' version 1 is not found"),
    ],
    ids=["not any more", "not yet"],
)
def test_a_version_that_only_one_server_has_is_described_by_that_one(missed: Exception) -> None:
    stub = FakeStub([1])
    stub.configs_missed = [missed] * 3
    assert infer(stub).classes == ("a", "bé")
    assert (len(stub.requests), stub.configs_asked_for) == (1, 4)


def test_the_source_of_an_image_is_said_if_it_is_known() -> None:
    stub = FakeStub([1, 1])
    infer(stub, source="gate-7")
    assert stub.requests[0].parameters["source"].string_param == "gate-7"
    infer(stub)
    assert "source" not in stub.requests[1].parameters


GONE = rpc_error(grpc.StatusCode.UNAVAILABLE, "Socket closed")
CANCELLED = rpc_error(grpc.StatusCode.CANCELLED, "CANCELLED")
FULL = rpc_error(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


@pytest.mark.parametrize("error", [GONE, CANCELLED], ids=["died", "ended"])
def test_what_a_dying_server_did_not_answer_is_asked_of_another_in_the_time_that_is_left(
    error: Exception,
) -> None:
    stub = FakeStub([1], error)
    assert infer(stub, keep_image=True).model_version == 1
    first, second = stub.timeouts_s
    assert second < first <= 2.5
    for request, timeout_s in zip(stub.requests, stub.timeouts_s, strict=True):
        assert request.parameters["timeout"].int64_param == int(timeout_s * 1e6)
        assert request.parameters["keep_image"].bool_param


@pytest.mark.parametrize(
    ("errors", "asked"), [([GONE] * 4, 3), ([FULL], 1)], ids=["all gone", "full"]
)
def test_it_is_asked_again_twice_at_most_and_only_if_the_server_is_gone(
    errors: list[Exception], asked: int
) -> None:
    stub = FakeStub([1], *errors)
    with pytest.raises((ServerUnreachableError, OverloadedError)):
        infer(stub)
    assert len(stub.requests) == asked


def test_it_is_not_asked_again_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    times_s = iter([100.0, 100.0, 102.5])
    monkeypatch.setattr(inference_module, "time", SimpleNamespace(monotonic=lambda: next(times_s)))
    stub = FakeStub([1], GONE)
    with pytest.raises(ServerUnreachableError):
        infer(stub)
    assert len(stub.requests) == 1


NONE_HERE = rpc_error(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'm' is not found")


@pytest.mark.parametrize("misses", [1, 3])
def test_a_model_that_one_server_has_not_is_asked_of_another(misses: int) -> None:
    stub = FakeStub([1], *[NONE_HERE] * misses)
    assert infer(stub, keep_image=True).model_version == 1
    assert len(stub.requests) == misses + 1
    assert all(request.parameters["keep_image"].bool_param for request in stub.requests)


def test_a_model_that_none_has_is_asked_for_seldom() -> None:
    stub = FakeStub([1], *[NONE_HERE] * 10)
    with pytest.raises(NoModelServedError):
        infer(stub)
    assert len(stub.requests) == 4


STOPS = rpc_error(grpc.StatusCode.UNAVAILABLE, "[request id: 1] Server is stopping, scheduler ...")


@pytest.mark.parametrize("missed", [NONE_HERE, STOPS], ids=["not there", "stopping"])
def test_a_model_that_answered_a_moment_ago_is_asked_for_until_one_has_it(
    missed: Exception,
) -> None:
    stub = FakeStub([1])
    channel = TritonChannel("127.0.0.1:8001")
    channel._stub = stub

    async def run() -> Inference:
        await channel.infer("m", b"image", 2.5, task="classification")
        stub.errors = [missed] * 20
        return await channel.infer("m", b"image", 2.5, task="classification")

    assert asyncio.run(run()).model_version == 1
    assert len(stub.requests) == 22


def test_if_all_servers_are_stopping_none_answers() -> None:
    with pytest.raises(ServerUnreachableError, match="does not answer") as caught:
        infer(FakeStub([1], *[STOPS] * 10))
    assert detail_of(caught.value) == "The model server does not answer. Try again soon."


@pytest.mark.parametrize(("silent_s", "asked"), [(4.9, 32), (5.0, 4)])
def test_a_model_that_did_not_answer_for_5_s_is_asked_for_seldom(
    monkeypatch: pytest.MonkeyPatch, silent_s: float, asked: int
) -> None:
    now_s = 100.0
    monkeypatch.setattr(inference_module, "time", SimpleNamespace(monotonic=lambda: now_s))
    stub = FakeStub([1])
    channel = TritonChannel("127.0.0.1:8001")
    channel._stub = stub

    async def run() -> None:
        nonlocal now_s
        await channel.infer("m", b"image", 2.5, task="classification")
        stub.requests.clear()
        stub.errors = [NONE_HERE] * 40
        now_s += silent_s
        with pytest.raises(NoModelServedError):
            await channel.infer("m", b"image", 2.5, task="classification")

    asyncio.run(run())
    assert len(stub.requests) == asked


def test_a_description_is_asked_for_within_its_time() -> None:
    stub = FakeStub([1])
    channel = TritonChannel("127.0.0.1:8001")
    channel._stub = stub
    assert asyncio.run(channel.describe("ModelMetadata", "m", 2.5)).name == "m"
    (timeout_s,) = stub.timeouts_s
    assert 2 < timeout_s <= 2.5


class OneTriton(GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A real server of gRPC that has the model, or has not yet."""

    def __init__(self, *, has_it: bool) -> None:
        self.stub = FakeStub([1])
        self.has_it = has_it
        self.missed = 0

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if not self.has_it:
            self.missed += 1
            await context.abort(NONE_HERE.code(), NONE_HERE.details())
        return await self.stub.ModelInfer(request, context.time_remaining())

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if not self.has_it:
            await context.abort(NONE_HERE.code(), NONE_HERE.details())
        return await self.stub.ModelConfig(request, context.time_remaining())


def test_of_two_replicas_the_one_without_the_model_is_never_heard() -> None:
    async def run() -> int:
        tritons = [OneTriton(has_it=has_it) for has_it in (False, True)]
        servers = [grpc.aio.server() for _ in tritons]
        ports = [server.add_insecure_port("127.0.0.1:0") for server in servers]
        for server, triton in zip(servers, tritons, strict=True):
            add_GRPCInferenceServiceServicer_to_server(triton, server)
            await server.start()
        channel = TritonChannel("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports))
        async with channel.connected():
            for _ in range(10):
                await asyncio.gather(
                    *(channel.infer("m", b"image", 30.0, task="classification") for _ in range(20))
                )
        await asyncio.gather(*(server.stop(None) for server in servers))
        return tritons[0].missed

    assert asyncio.run(run()) > 0
