"""Streams over a WebSocket, in process."""

import asyncio
from collections.abc import Coroutine

import pytest

from tests.services.asgi_client import AsgiClient
from tests.services.asgi_websocket import AsgiWebSocket, opened
from tests.services.gateway_fakes import CHAMPION, PNG, FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.contracts import Scope
from visionops_assets.errors import OverloadedError
from visionops_assets.services.gateway import streams
from visionops_assets.services.gateway.stream import MAX_FRAMES_UNDER_WAY
from visionops_assets.services.http import known_keys

STREAM = "/v1/stream"


class Bench:
    """A gateway, and a client with a key."""

    def __init__(self, max_in_flight: int = 32) -> None:
        self.triton = FakeTriton()
        self.catalog = FakeCatalog()
        self.gateway = gateway_of(self.triton, self.catalog, gateway_max_in_flight=max_in_flight)
        self.app = self.gateway.app
        self.headers = bearer_header(self.catalog.issue(Scope.PREDICT))

    async def refusal(
        self, url: str = STREAM, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        websocket = AsgiWebSocket(self.app, url, self.headers if headers is None else headers)
        return await websocket.refusal()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def test_frames_are_answered_in_order_and_a_bad_one_alone_is_refused(bench: Bench) -> None:
    async def test() -> None:
        async with opened(bench.app, f"{STREAM}?top_k=1", bench.headers) as stream:
            for frame in (PNG, b"junk", PNG):
                stream.send(bytes=frame)
            first, second, third = await stream.answers(3)
        assert [answer["sequence"] for answer in (first, second, third)] == [0, 1, 2]
        assert first["prediction"]["probabilities"] == {"7": 0.5}
        assert (second["prediction"], second["refusal"]["status"]) == (None, 415)
        assert second["refusal"]["code"] == "unsupported_media_type"
        assert (third["prediction"]["label"], third["refusal"]) == ("7", None)

    run(test())


def test_all_frames_of_a_stream_are_kept_if_that_is_asked_for(bench: Bench) -> None:
    async def test() -> None:
        async with opened(bench.app, f"{STREAM}?keep_image=true", bench.headers) as stream:
            for _ in range(2):
                stream.send(bytes=PNG)
            await stream.answers(2)
        assert bench.triton.kept == [PNG] * 2

    run(test())


def test_a_handshake_is_refused_by_a_problem(bench: Bench) -> None:
    async def test() -> None:
        labeller = bearer_header(bench.catalog.issue(Scope.LABEL))
        assert await bench.refusal(headers={}) == (401, "unauthenticated")
        assert await bench.refusal(headers=labeller) == (403, "forbidden")
        assert await bench.refusal(f"{STREAM}?top_k=0") == (422, "invalid_request")

    run(test())


def test_a_text_message_ends_the_stream_after_what_came_before_it(bench: Bench) -> None:
    async def test() -> None:
        async with opened(bench.app, STREAM, bench.headers) as stream:
            stream.send(bytes=PNG)
            stream.send(text="frame")
            assert (await stream.answers(1))[0]["prediction"]
            await stream.receive()
        assert stream.closed == (1003, "Frames are sent as binary messages.")

    run(test())


def test_no_more_frames_are_taken_than_have_room(bench: Bench) -> None:
    async def test() -> None:
        bench.triton.is_held = asyncio.Event()
        sent = MAX_FRAMES_UNDER_WAY + 5
        async with opened(bench.app, STREAM, bench.headers) as stream:
            for _ in range(sent):
                stream.send(bytes=PNG)
            await asyncio.sleep(0.1)
            assert len(bench.triton.asked) == MAX_FRAMES_UNDER_WAY
            bench.triton.is_held.set()
            answers = await stream.answers(sent)
        assert [answer["sequence"] for answer in answers] == list(range(sent))

    run(test())


def test_draining_answers_what_came_and_closes_as_going_away(bench: Bench) -> None:
    async def test() -> None:
        bench.triton.is_held = asyncio.Event()
        async with opened(bench.app, STREAM, bench.headers) as stream:
            stream.send(bytes=PNG)
            while not bench.triton.asked:
                await asyncio.sleep(0)
            drained = asyncio.create_task(bench.gateway.drain())
            await asyncio.sleep(0.05)
            stream.send(bytes=PNG)
            assert not drained.done()
            bench.triton.is_held.set()
            assert (await stream.answers(1))[0]["prediction"]
            await stream.receive()
            await drained
        assert stream.closed is not None
        assert stream.closed[0] == 1001
        assert len(bench.triton.asked) == 1
        assert await bench.refusal() == (503, "server_unreachable")

    run(test())


def test_a_client_that_leaves_takes_its_frames_along(bench: Bench) -> None:
    async def test() -> None:
        bench.triton.is_held = asyncio.Event()
        async with opened(bench.app, STREAM, bench.headers) as stream:
            for _ in range(3):
                stream.send(bytes=PNG)
            while len(bench.triton.asked) < 3:
                await asyncio.sleep(0)
            bench.triton.is_held.set()
        assert "in_flight 0.0" in await asyncio.to_thread(metrics_of, bench)

    run(test())


def metrics_of(bench: Bench) -> str:
    return AsgiClient(bench.app).get("/metrics").text


def test_a_revoked_key_ends_its_stream(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "FRESH_S", 0.0)

    async def test() -> None:
        async with opened(bench.app, STREAM, bench.headers) as stream:
            stream.send(bytes=PNG)
            assert (await stream.answers(1))[0]["prediction"]
            bench.catalog.revoke_all()
            stream.send(bytes=PNG)
            await stream.receive()
        assert stream.closed == (1008, "unauthenticated")

    run(test())


def test_an_idle_stream_of_a_revoked_key_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "FRESH_S", 0.0)
    monkeypatch.setattr(streams, "RECHECK_S", 0.01)

    async def test() -> None:
        limited = bench.catalog.issue(Scope.PREDICT, name="limited", rate_limit="2/hour")
        async with opened(bench.app, STREAM, bearer_header(limited)) as stream:
            bench.catalog.is_down = True
            await asyncio.sleep(0.1)
            bench.catalog.is_down = False
            await asyncio.sleep(0.1)
            stream.send(bytes=PNG)
            # A look at the key is no request of it.
            assert (await stream.answers(1))[0]["prediction"]
            bench.catalog.revoke_all()
            await stream.receive()
        assert stream.closed == (1008, "unauthenticated")

    run(test())
    assert "visionops_gateway_streams 0.0" in metrics_of(bench)


def test_each_frame_counts_as_a_request_of_its_key(bench: Bench) -> None:
    async def test() -> None:
        slow = bench.catalog.issue(Scope.PREDICT, name="slow", rate_limit="3/hour")
        async with opened(bench.app, STREAM, bearer_header(slow)) as stream:
            for _ in range(3):
                stream.send(bytes=PNG)
            refusals = [answer["refusal"] for answer in await stream.answers(3)]
        codes = [(refusal or {}).get("code") for refusal in refusals]
        assert codes == [None, None, "rate_limited"]

    run(test())


def test_an_overloaded_triton_refuses_frames_and_not_the_stream(bench: Bench) -> None:
    async def test() -> None:
        bench.triton.outcomes[CHAMPION] = OverloadedError("Its queue is full.")
        async with opened(bench.app, STREAM, bench.headers) as stream:
            for sequence in range(2):
                stream.send(bytes=PNG)
                (answer,) = await stream.answers(1)
                assert (answer["sequence"], answer["refusal"]["status"]) == (sequence, 429)

    run(test())
    metrics = metrics_of(bench)
    assert 'visionops_gateway_stream_frames_total{outcome="overloaded"} 2.0' in metrics
    assert "visionops_gateway_streams 0.0" in metrics


def test_one_key_leaves_streams_to_others() -> None:
    async def test() -> None:
        bench = Bench(max_in_flight=2)
        async with opened(bench.app, STREAM, bench.headers):
            assert await bench.refusal() == (429, "overloaded")
            other = bearer_header(bench.catalog.issue(Scope.PREDICT, name="other"))
            async with opened(bench.app, STREAM, other):
                pass

    run(test())
