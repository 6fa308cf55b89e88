import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.ingest_bodies import DISCONNECT, Sender, collected
from visionops_assets.errors import InvalidLengthError, SlowBodyError, TooLargeError
from visionops_assets.services.http import body as body_module
from visionops_assets.services.http.body import announced_bytes, body_of

IDLE_S = 0.05
CHUNKED = {"Transfer-Encoding": "chunked"}


def read(sender: Sender, max_bytes: int = 100, idle_timeout_s: float = 10.0) -> bytes:
    pieces = body_of(sender.request, max_bytes=max_bytes, idle_timeout_s=idle_timeout_s)
    return b"".join(asyncio.run(collected(pieces)))


@given(st.lists(st.binary(max_size=20), max_size=5), st.booleans())
def test_a_body_is_the_pieces_that_came(pieces: list[bytes], is_chunked: bool) -> None:
    whole = b"".join(pieces)
    headers = CHUNKED if is_chunked else {"Content-Length": str(len(whole))}
    assert read(Sender(pieces, headers)) == whole


@pytest.mark.parametrize("length", [None, "", "ten", "-1", "1.5", "+5", "5, 5", "0x10", "²", "٣"])
def test_a_length_that_is_none_is_refused_unread(length: str | None) -> None:
    sender = Sender([b"x"], {} if length is None else {"Content-Length": length})
    with pytest.raises(InvalidLengthError, match="Content-Length"):
        read(sender)
    assert sender.messages == 0


def test_a_chunked_body_needs_no_length() -> None:
    assert announced_bytes(Sender([], {"Transfer-Encoding": "gzip, Chunked"}).request) is None


def test_what_announces_too_much_is_refused_unread() -> None:
    sender = Sender([b"x" * 101], {"Content-Length": "101"})
    with pytest.raises(TooLargeError):
        read(sender)
    assert sender.messages == 0


def test_what_has_too_much_is_refused_as_soon_as_it_does() -> None:
    sender = Sender([b"x" * 60, b"x" * 41, b"never read"], CHUNKED)
    with pytest.raises(TooLargeError):
        read(sender)
    assert sender.messages == 2


def test_the_limit_itself_may_be_reached() -> None:
    assert len(read(Sender([b"x" * 60, b"x" * 40], CHUNKED))) == 100


@pytest.mark.parametrize("script", [[60.0], [b"x", 60.0], [b"", b"", 60.0]])
def test_a_body_that_stops_coming_is_slow(script: list[bytes | float]) -> None:
    with pytest.raises(SlowBodyError, match="resumable"):
        read(Sender([*script, b"late"], CHUNKED), idle_timeout_s=IDLE_S)


def test_a_body_that_trickles_is_slow_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "MIN_BODY_BYTES_PER_S", 100)
    trickle = [part for _ in range(100) for part in (IDLE_S / 4, b"x")]
    sender = Sender(trickle, CHUNKED)
    with pytest.raises(SlowBodyError):
        read(sender, idle_timeout_s=IDLE_S)
    assert sender.messages < 100


def test_an_even_body_may_take_longer_than_one_wait() -> None:
    script = [part for _ in range(10) for part in (IDLE_S / 5, b"x" * 1024)]
    assert len(read(Sender(script, CHUNKED), max_bytes=10**6, idle_timeout_s=IDLE_S)) == 10 * 1024


def test_the_time_that_is_taken_to_store_is_not_the_clients() -> None:
    async def read_slowly() -> int:
        sender = Sender([b"a", 0.001, b"b", 0.001, b"c"], CHUNKED)
        pieces = body_of(sender.request, max_bytes=100, idle_timeout_s=IDLE_S)
        count = 0
        async for piece in pieces:
            await asyncio.sleep(2 * IDLE_S)
            count += len(piece)
        return count

    assert asyncio.run(read_slowly()) == 3


@pytest.mark.parametrize("headers", [CHUNKED, {"Content-Length": "10"}])
@pytest.mark.parametrize("before", [[], [b"abc"]])
def test_a_client_that_goes_away_leaves_a_wrong_length(
    headers: dict[str, str], before: list[bytes]
) -> None:
    with pytest.raises(InvalidLengthError, match="ended before"):
        read(Sender([*before, DISCONNECT], headers))
