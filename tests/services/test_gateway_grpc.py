"""The gateway's gRPC port, on a real socket, asked by tritonclient."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tritonclient.grpc import InferInput, InferRequestedOutput, service_pb2
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from tests.services.gateway_fakes import (
    CHAMPION,
    OTHER,
    PNG,
    FakeCatalog,
    FakeTriton,
    gateway_of,
    inference,
)
from visionops_assets.contracts import Scope
from visionops_assets.errors import (
    CorruptMediaError,
    NoModelServedError,
    OverloadedError,
    ServerUnreachableError,
    SettingsError,
    VisionOpsError,
)
from visionops_assets.services.gateway import grpc_door, grpc_methods
from visionops_assets.services.gateway.app import Gateway
from visionops_assets.services.gateway.calls import STATUS_CODES, Call, Calls, _client
from visionops_assets.services.http.problems import STATUS_BY_CODE, UNTOLD
from visionops_assets.services.http.request_metrics import RequestMetrics
from visionops_assets.services.http.slow_refusals import PAUSE_S

Metadata = dict[str, str]


class Door:
    """An open port, a client of it, and what it speaks to."""

    def __init__(self, **settings: Any) -> None:
        self.triton = FakeTriton()
        self.catalog = FakeCatalog()
        self.gateway: Gateway = gateway_of(self.triton, self.catalog, **settings)
        key = self.catalog.issue(Scope.PREDICT).get_secret_value()
        self.headers = {"authorization": f"Bearer {key}"}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.gateway.door.port}"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[InferenceServerClient]:
        async with self.gateway.door.open(), InferenceServerClient(self.address) as client:
            yield client

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[Any]:
        async with self.gateway.door.open(), grpc.aio.insecure_channel(self.address) as channel:
            yield GRPCInferenceServiceStub(channel)

    def run(self, ask: Callable[[InferenceServerClient], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with self.client() as client:
                return await ask(client)

        return asyncio.run(run())

    def refusal(
        self, request: Any = None, method: str = "ModelInfer", headers: Metadata | None = None
    ) -> grpc.aio.AioRpcError:
        """Call a method that must fail, and return how it did."""
        given = self.headers if headers is None else headers

        async def run() -> grpc.aio.AioRpcError:
            async with self.stub() as stub:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await getattr(stub, method)(
                        request or of_images(PNG), metadata=tuple(given.items()), timeout=20
                    )
                return caught.value

        return asyncio.run(run())

    async def counts(self) -> str:
        """Return what Prometheus is told."""
        transport = httpx.ASGITransport(self.gateway.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            return (await http.get("/metrics")).text

    def exposition(self) -> str:
        return asyncio.run(self.counts())


def tensor(*images: bytes) -> InferInput:
    image = InferInput("IMAGE", [len(images), 1], "BYTES")
    image.set_data_from_numpy(np.array([[content] for content in images], dtype=np.object_))
    return image


def of_images(*images: bytes, model: str = CHAMPION) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="IMAGE", datatype="BYTES", shape=[len(images), 1])
    request.inputs[0].contents.bytes_contents.extend(images)
    return request


def code_of(error: grpc.aio.AioRpcError) -> str:
    return str(dict(error.trailing_metadata())["visionops-code"])


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_plain_client_is_answered_as_by_triton(door: Door) -> None:
    result = door.run(lambda c: c.infer(CHAMPION, [tensor(PNG)], headers=door.headers))
    assert result.as_numpy("LABEL").tolist() == [[b"7"]]
    assert result.as_numpy("EMBEDDING").shape == (1, 2)
    assert door.triton.asked == [(CHAMPION, PNG, True)]
    assert 'route="/inference.GRPCInferenceService/ModelInfer",status="200"' in door.exposition()


def test_another_model_is_asked_by_its_name_and_an_unknown_one_refused(door: Door) -> None:
    result = door.run(lambda c: c.infer(OTHER, [tensor(PNG)], headers=door.headers))
    assert result.as_numpy("LABEL").tolist() == [[b"1"]]
    assert door.triton.asked == [(OTHER, PNG, True)]
    error = door.refusal(of_images(PNG, model="cats"))
    assert (error.code(), code_of(error)) == (grpc.StatusCode.NOT_FOUND, "not_found")


def test_an_answer_names_its_request_by_the_id_that_came_with_it(door: Door) -> None:
    async def run() -> dict[str, str]:
        async with door.stub() as stub:
            metadata = (*door.headers.items(), ("x-request-id", "of-the-client"))
            call = stub.ModelInfer(of_images(PNG), metadata=metadata, timeout=20)
            await call
            return dict(await call.trailing_metadata())

    assert asyncio.run(run())["x-request-id"] == "of-the-client"


def test_a_batch_is_answered_in_the_order_of_its_images(door: Door) -> None:
    answers = {PNG + bytes([n]): inference(str(n)) for n in range(32)}
    door.triton.by_image = answers
    outputs = [InferRequestedOutput("LABEL")]
    result = door.run(
        lambda c: c.infer(CHAMPION, [tensor(*answers)], outputs=outputs, headers=door.headers)
    )
    assert [int(label) for label in result.as_numpy("LABEL")[:, 0]] == list(range(32))
    assert result.as_numpy("EMBEDDING") is None
    assert "visionops_gateway_in_flight 0.0" in door.exposition()


def test_without_its_key_every_method_but_health_is_refused(door: Door) -> None:
    requests = {
        "ModelInfer": of_images(PNG),
        "ModelReady": service_pb2.ModelReadyRequest(name=CHAMPION),
        "ModelMetadata": service_pb2.ModelMetadataRequest(name=CHAMPION),
        "ModelConfig": service_pb2.ModelConfigRequest(name=CHAMPION),
        "ServerMetadata": service_pb2.ServerMetadataRequest(),
    }
    assert requests.keys() == door.gateway.door._methods.by_name().keys()
    for method, request in requests.items():
        error = door.refusal(request, method, headers={})
        assert (error.code(), code_of(error)) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "unauthenticated",
        )
        assert error.details().startswith("unauthenticated: This needs an API key")
    assert door.triton.asked == []
    assert door.run(lambda c: c.is_server_live()) is True
    door.triton.error_of_check = ServerUnreachableError("away")
    assert door.run(lambda c: c.is_server_ready()) is False


def test_a_key_is_checked_before_a_message_is_read(door: Door) -> None:
    async def run() -> None:
        async with door.stub() as stub:
            call = stub.ModelInfer(of_images(bytes(30 * 1024**2)), timeout=20)
            assert await call.code() is grpc.StatusCode.UNAUTHENTICATED

    asyncio.run(run())
    # A message that is read is refused for its size.
    error = door.refusal(of_images(bytes(34 * 1024**2)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_key_without_the_scope_and_one_above_its_rate(door: Door) -> None:
    labels = door.catalog.issue(Scope.LABEL).get_secret_value()
    error = door.refusal(headers={"x-api-key": labels})
    assert (error.code(), code_of(error)) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")
    slow = door.catalog.issue(Scope.PREDICT, name="slow", rate_limit="1/hour").get_secret_value()

    async def refused(client: InferenceServerClient) -> float:
        started_s = time.monotonic()
        with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*rate_limited: More than 1 per"):
            await client.infer(CHAMPION, [tensor(PNG)], headers={"x-api-key": slow})
        return time.monotonic() - started_s

    async def thrice(client: InferenceServerClient) -> tuple[float, float]:
        await client.infer(CHAMPION, [tensor(PNG)], headers={"x-api-key": slow})
        return await refused(client), await refused(client)

    first_s, second_s = door.run(thrice)
    # Whoever comes again at once waits for its next refusal, as by HTTP.
    assert first_s < PAUSE_S / 2 < second_s


@pytest.mark.parametrize(
    ("failure", "status", "detail"),
    [
        (CorruptMediaError("It is cut off."), "INVALID_ARGUMENT", "corrupt: It is cut off."),
        (
            OverloadedError("Triton's queue.", 3),
            "RESOURCE_EXHAUSTED",
            "overloaded: Triton's queue.",
        ),
        (
            ServerUnreachableError("Triton at 10.0.0.7:8001 is away."),
            "UNAVAILABLE",
            "server_unreachable: A server that this service needs does not answer. Try again soon.",
        ),
        (VisionOpsError("of /a/path"), "INTERNAL", f"internal_error: {UNTOLD}"),
        (ZeroDivisionError("a fault of ours"), "INTERNAL", f"internal_error: {UNTOLD}"),
    ],
)
def test_an_error_has_its_code_and_a_client_learns_no_more(
    door: Door, failure: Any, status: str, detail: str
) -> None:
    door.triton.outcomes[CHAMPION] = failure
    error = door.refusal()
    assert (error.code().name, error.details()) == (status, detail)
    assert code_of(error) == detail.partition(":")[0]
    again = {"RESOURCE_EXHAUSTED": "3", "UNAVAILABLE": "5"}.get(status)
    assert dict(error.trailing_metadata()).get("retry-after") == again
    http = STATUS_BY_CODE[code_of(error)]
    assert f'ModelInfer",status="{http.value}"' in door.exposition()


def test_every_status_of_an_error_has_one_of_grpc() -> None:
    assert set(STATUS_BY_CODE.values()) <= STATUS_CODES.keys()


def test_an_image_of_no_use_refuses_its_request_and_is_named(door: Door) -> None:
    door.triton.by_image = {PNG + b"2": CorruptMediaError("It is cut off.")}
    error = door.refusal(of_images(PNG, PNG + b"1", PNG + b"2", *[PNG] * 20))
    assert error.details() == "corrupt: Image 2 of the request: It is cut off."
    # Those that were not yet asked about are not.
    assert len(door.triton.asked) < 23
    assert "visionops_gateway_in_flight 0.0" in door.exposition()


def test_what_the_model_says_of_itself(door: Door) -> None:
    async def ask(client: InferenceServerClient) -> tuple[Any, ...]:
        return (
            await client.get_model_metadata(CHAMPION, headers=door.headers),
            await client.get_model_config(CHAMPION, headers=door.headers),
            await client.is_model_ready(CHAMPION, headers=door.headers),
            await client.get_server_metadata(headers=door.headers),
        )

    metadata, config, is_ready, server = door.run(ask)
    assert list(metadata.versions) == ["3"]
    assert dict(config.config.parameters).keys() == {"classes"}
    assert (is_ready, server.name) == (True, "visionops")
    door.triton.outcomes[CHAMPION] = NoModelServedError("none")
    assert door.run(lambda c: c.is_model_ready(CHAMPION, headers=door.headers)) is False
    error = door.refusal(service_pb2.ModelConfigRequest(name="other"), "ModelConfig")
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_the_wishes_of_a_call(door: Door) -> None:
    asked = {"keep_image": True, "source": "gate-7"}
    wishes = {"parameters": asked, "timeout": 1_500_000, "headers": door.headers}
    door.run(lambda c: c.infer(CHAMPION, [tensor(PNG)], **wishes))
    door.run(lambda c: c.infer(CHAMPION, [tensor(PNG)], client_timeout=0.7, headers=door.headers))
    assert door.triton.kept == [PNG]
    assert door.triton.sources == ["gate-7", ""]
    assert door.triton.timeouts_s[0] == pytest.approx(1.5, abs=0.2)
    assert door.triton.timeouts_s[1] == pytest.approx(0.7, abs=0.2)


def test_other_methods_of_triton_do_not_exist(door: Door) -> None:
    for method in ("RepositoryIndex", "TraceSetting", "SystemSharedMemoryStatus"):
        request = getattr(service_pb2, f"{method}Request")()
        assert door.refusal(request, method).code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_does_not_come_is_not_waited_for() -> None:
    door = Door(body_idle_timeout_s=0.2)

    async def run() -> grpc.StatusCode:
        async with (
            door.gateway.door.open(),
            grpc.aio.insecure_channel(door.address) as channel,
        ):
            # Its client opens a stream of messages, and sends none.
            call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(
                metadata=tuple(door.headers.items()), timeout=20
            )
            return await call.code()

    started_s = time.monotonic()
    assert asyncio.run(run()) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started_s < 5
    assert 'ModelInfer",status="408"' in door.exposition()


def test_messages_that_are_read_at_once_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_methods, "MAX_HELD_BYTES", 0)
    door = Door(body_idle_timeout_s=0.4)

    async def run() -> str:
        async with (
            door.gateway.door.open(),
            grpc.aio.insecure_channel(door.address) as channel,
        ):
            metadata = tuple(door.headers.items())
            method = "/inference.GRPCInferenceService/ModelInfer"
            slow = channel.stream_unary(method)(metadata=metadata, timeout=20)
            await asyncio.sleep(0.2)
            stub = GRPCInferenceServiceStub(channel)
            # It waits for its turn, and gets it once the first one is given up.
            await stub.ModelInfer(of_images(PNG), metadata=metadata, timeout=20)
            return str(await slow.code())

    assert "DEADLINE_EXCEEDED" in asyncio.run(run())
    assert door.triton.asked == [(CHAMPION, PNG, True)]


def test_a_message_that_grows_when_it_is_unpacked_is_refused() -> None:
    door = Door(max_predicted_image_bytes=1024**2)

    async def ask(client: InferenceServerClient) -> None:
        grown = tensor(bytes(20 * 1024**2))
        await client.infer(CHAMPION, [grown], headers=door.headers, compression_algorithm="gzip")

    with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*larger than max"):
        door.run(ask)
    assert door.triton.asked == []


def test_connections_that_say_nothing_end_and_keep_nobody_out(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {
        "grpc.server_handshake_timeout_ms": 500,
        "grpc.max_allowed_incoming_connections": 4,
    }
    monkeypatch.setattr(grpc_door, "_OPTIONS", tuple((dict(grpc_door._OPTIONS) | limits).items()))

    async def run(client: InferenceServerClient) -> None:
        await client.infer(CHAMPION, [tensor(PNG)], headers=door.headers)
        port = door.gateway.door.port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        # One that was there goes on.
        await client.infer(CHAMPION, [tensor(PNG)], headers=door.headers)
        async with asyncio.timeout(5):
            for reader, writer in silent:
                while await reader.read(1024):
                    pass
                writer.close()
        async with InferenceServerClient(door.address) as other:
            await other.infer(CHAMPION, [tensor(PNG)], headers=door.headers)

    door.run(run)


def test_a_client_that_leaves_is_no_failure_of_ours(door: Door) -> None:
    async def run() -> None:
        door.triton.is_held = asyncio.Event()
        async with door.stub() as stub:
            call = stub.ModelInfer(of_images(PNG), metadata=tuple(door.headers.items()))
            while not door.triton.asked:
                await asyncio.sleep(0.01)
            call.cancel()
            while 'status="499"' not in await door.counts():
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert "visionops_gateway_in_flight 0.0" in door.exposition()


def test_calls_under_way_are_answered_when_it_ends(door: Door) -> None:
    async def run() -> None:
        door.triton.is_held = asyncio.Event()
        async with door.stub() as stub:
            call = stub.ModelInfer(of_images(PNG), metadata=tuple(door.headers.items()))
            while not door.triton.asked:
                await asyncio.sleep(0.01)
            ending = asyncio.create_task(door.gateway.drain())
            await asyncio.sleep(0.1)
            door.triton.is_held.set()
            assert (await call).model_name == CHAMPION
            await ending

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_taken_port_is_said() -> None:
    async def run() -> None:
        first = Door()
        async with first.gateway.door.open():
            second = Door(gateway_grpc_address=first.address)
            with pytest.raises(SettingsError, match="VISIONOPS_GATEWAY_GRPC_ADDRESS"):
                async with second.gateway.door.open():
                    pass

    asyncio.run(run())


def test_guesses_count_against_the_address_that_a_trusted_proxy_names() -> None:
    door = Door(trusted_proxies="127.0.0.1")

    async def guess(client: InferenceServerClient, address: str) -> str:
        try:
            await client.infer(CHAMPION, [tensor(PNG)], headers={"x-forwarded-for": address})
        except Exception as error:
            return str(error)
        return ""

    async def run(client: InferenceServerClient) -> tuple[list[str], str]:
        many = await asyncio.gather(*(guess(client, "192.0.2.1") for _ in range(100)))
        return many, await guess(client, "192.0.2.2")

    many, other = door.run(run)
    assert any("rate_limited" in each for each in many)
    assert "unauthenticated" in other


@pytest.mark.parametrize(
    ("trusted", "client"),
    [("127.0.0.1", "192.0.2.1"), ("10.0.0.1", "127.0.0.1"), ("", "127.0.0.1")],
)
def test_a_client_is_told_by_its_proxy_only_if_that_is_trusted(trusted: str, client: str) -> None:
    seen: list[Any] = []

    async def note(call: Call) -> None:
        seen.append(call.connection.client)

    metadata = (("x-forwarded-for", "192.0.2.1"),)
    context = SimpleNamespace(
        invocation_metadata=lambda: metadata,
        peer=lambda: "ipv4:127.0.0.1:50000",
        set_trailing_metadata=lambda _: None,
    )
    calls = Calls(RequestMetrics("test", CollectorRegistry()), trusted)
    asyncio.run(calls.handler("/service/Method", note).stream_unary(None, context))
    assert [each.host for each in seen] == [client]


def test_the_other_side_is_read_from_its_name() -> None:
    assert _client("ipv4:127.0.0.1:50000") == ("127.0.0.1", 50000)
    assert _client("ipv6:%5B2001:db8::1%5D:50000") == ("2001:db8::1", 50000)
    assert _client("unix:") is None
    assert _client("") is None
