"""Reading a log whose end is known from fetches only."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from visionops_assets.errors import LogTruncatedError, ServerUnreachableError
from visionops_assets.resources import broker
from visionops_assets.resources.broker import TopicReader


@dataclass
class Record:
    offset: int
    timestamp: int = 0
    value: bytes | None = b"v"


class Consumer:
    """Partitions that hold the offsets `[start, end)`; its first fetches come back empty."""

    def __init__(self, ranges: dict[int, tuple[int, int]], empty_fetches: int = 1) -> None:
        self._ranges = ranges
        self._empty_fetches = empty_fetches
        self._position = 0

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(self._ranges)

    def beginning_offsets(self, targets: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {target: self._ranges[target.partition][0] for target in targets}

    def assign(self, targets: list[TopicPartition]) -> None:
        (self._target,) = targets

    def seek(self, _target: TopicPartition, offset: int) -> None:
        self._position = offset

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        assert timeout_ms > 0
        if self._empty_fetches:
            self._empty_fetches -= 1
            return {}
        end = self._ranges[self._target.partition][1]
        offsets = range(self._position, min(end, self._position + max_records))
        self._position += len(offsets)
        return {self._target: [Record(offset) for offset in offsets]}

    def highwater(self, target: TopicPartition) -> int | None:
        return None if self._empty_fetches else self._ranges[target.partition][1]


def _reader(*args: Any) -> TopicReader:
    return TopicReader(cast("Any", Consumer(*args)))


@given(
    ranges=st.dictionaries(
        st.integers(0, 5), st.tuples(st.integers(0, 99), st.integers(0, 40)), max_size=3
    ),
    page=st.integers(1, 50),
)
def test_all_is_read_once_in_order(ranges: dict[int, tuple[int, int]], page: int) -> None:
    held = {number: (start, start + count) for number, (start, count) in ranges.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker, "PAGE_EVENTS", page)
        read = [event.offset for event in _reader(held).read_all("t")]
    assert read == [offset for number in sorted(held) for offset in range(*held[number])]


def test_a_queue_that_gives_nothing_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(ServerUnreachableError, match="t-0"):
        list(_reader({0: (0, 5)}, 10**9).read_all("t", timeout_s=0.05))


def test_a_log_that_ends_before_the_start_was_replaced() -> None:
    with pytest.raises(LogTruncatedError, match="ends at 5"):
        _reader({0: (0, 5)}).poll("t", 0, 6, 10, timeout_s=1)
    assert _reader({0: (0, 5)}).poll("t", 0, 5, 10, timeout_s=1) == []


def test_a_message_without_a_value_is_an_empty_one() -> None:
    assert broker._event(Record(3, 7, None)).value == b""


@pytest.mark.parametrize("near", [3, 7, 10])
def test_the_end_is_found_from_any_offset_that_is_held(near: int) -> None:
    assert _reader({0: (3, 10)}, 2).end("t", 0, near, timeout_s=5) == 10


def test_an_end_that_is_not_said_is_not_guessed() -> None:
    with pytest.raises(ServerUnreachableError, match="t-0"):
        _reader({0: (0, 5)}, 10**9).end("t", 0, 0, timeout_s=0.05)


def test_the_end_of_a_log_that_was_replaced_is_not_taken_for_its_own() -> None:
    with pytest.raises(LogTruncatedError):
        _reader({0: (0, 5)}).end("t", 0, 90, timeout_s=5)
