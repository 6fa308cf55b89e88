"""Reading a log whose end is known from fetches only."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import (
    CorruptRecordError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from visionops_assets.errors import LogTruncatedError, MissingCodecError, ServerUnreachableError
from visionops_assets.resources import topic_reader
from visionops_assets.resources.topic_reader import TopicReader, reaching
from visionops_assets.settings import Settings


@dataclass
class Record:
    offset: int
    timestamp: int = 0
    value: bytes | None = b"v"


class Consumer:
    """Partitions that hold `[start, end)` but for `gaps`; its first fetches come back empty.

    A fetch that begins at a `damaged` offset raises `error`.
    """

    def __init__(
        self,
        ranges: dict[int, tuple[int, int]],
        empty_fetches: int = 1,
        gaps: Collection[int] = (),
        damaged: Collection[int] = (),
        error: type[Exception] = CorruptRecordError,
    ) -> None:
        self._ranges = ranges
        self._gaps = gaps
        self._damaged = damaged
        self._error = error
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
        if self._position in self._damaged:
            raise self._error
        held = [n for n in range(self._position, end) if n not in self._gaps]
        held = list(takewhile(lambda n: n not in self._damaged, held))
        offsets = held[:max_records]
        self._position = offsets[-1] + 1 if offsets else end
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
        patch.setattr(topic_reader, "PAGE_EVENTS", page)
        read = [event.offset for event in _reader(held).read_all("t")]
    assert read == [offset for number in sorted(held) for offset in range(*held[number])]


def test_a_queue_that_gives_nothing_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(ServerUnreachableError, match="t-0"):
        list(_reader({0: (0, 5)}, 10**9).read_all("t", timeout_s=0.05))


def test_a_log_that_ends_before_the_start_was_replaced() -> None:
    with pytest.raises(LogTruncatedError, match="ends at 5"):
        _reader({0: (0, 5)}).poll("t", 0, 6, 10, timeout_s=1)
    assert _reader({0: (0, 5)}).poll("t", 0, 5, 10, timeout_s=1) == []


@given(
    start=st.integers(0, 20),
    count=st.integers(1, 40),
    more=st.integers(0, 40),
    gaps=st.sets(st.integers(0, 100)),
)
@example(start=0, count=2, more=1, gaps={0, 2})
def test_a_range_is_read_without_the_offsets_that_never_held_an_event(
    start: int, count: int, more: int, gaps: set[int]
) -> None:
    end = start + count
    gaps.discard(end - 1)
    read = _reader({0: (0, end + more)}, 1, gaps).read_range("t", 0, start, end, timeout_s=5)
    assert [event.offset for event in read] == [n for n in range(start, end) if n not in gaps]


def test_a_range_beyond_the_end_was_cut() -> None:
    with pytest.raises(LogTruncatedError, match=r"\[5, 9\)"):
        _reader({0: (0, 5)}).read_range("t", 0, 2, 9, timeout_s=5)


def test_a_range_of_which_nothing_comes_is_not_taken_for_a_cut_one() -> None:
    with pytest.raises(ServerUnreachableError, match="t-0"):
        _reader({0: (0, 5)}, 10**9).read_range("t", 0, 2, 5, timeout_s=0.05)


def test_a_message_without_a_value_is_an_empty_one() -> None:
    assert topic_reader._event(Record(3, 7, None)).value == b""


@pytest.mark.parametrize("near", [3, 7, 10])
def test_the_end_is_found_from_any_offset_that_is_held(near: int) -> None:
    assert _reader({0: (3, 10)}, 2).end("t", 0, near, timeout_s=5) == 10


def test_an_end_that_is_not_said_is_not_guessed() -> None:
    with pytest.raises(ServerUnreachableError, match="t-0"):
        _reader({0: (0, 5)}, 10**9).end("t", 0, 0, timeout_s=0.05)


def test_the_end_of_a_log_that_was_replaced_is_not_taken_for_its_own() -> None:
    with pytest.raises(LogTruncatedError):
        _reader({0: (0, 5)}).end("t", 0, 90, timeout_s=5)


@given(damaged=st.sets(st.integers(0, 9)), page=st.integers(1, 12))
def test_of_a_damaged_batch_each_offset_is_told_and_all_others_are_read(
    damaged: set[int], page: int
) -> None:
    reader = _reader({0: (0, 10)}, 1, (), damaged)
    events = reader.poll("t", 0, 0, page, timeout_s=5)
    if page >= 10:
        assert [event.offset for event in events] == list(range(10))
    assert {event.offset for event in events if event.fault} == {
        event.offset for event in events if event.offset in damaged
    }


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnsupportedCodecError, MissingCodecError),
        (OffsetOutOfRangeError, LogTruncatedError),
        (KafkaTimeoutError, ServerUnreachableError),
    ],
)
def test_a_fault_is_told_by_its_kind(error: type[Exception], told: type[Exception]) -> None:
    with pytest.raises(told):
        _reader({0: (0, 9)}, 0, (), {0}, error).poll("t", 0, 0, 9, timeout_s=1)


@pytest.mark.parametrize(
    ("protocol", "hint"),
    [
        ("PLAINTEXT", ""),
        ("SSL", f" If it is up, see what VISIONOPS_KAFKA_... say of SSL: {topic_reader._REFUSED}."),
    ],
)
def test_only_where_a_login_or_certificate_may_be_wrong_they_are_named(
    monkeypatch: pytest.MonkeyPatch, protocol: str, hint: str
) -> None:
    settings = Settings.model_validate(
        {"kafka_bootstrap_servers": "broker:9092", "kafka_security_protocol": protocol}
    )
    monkeypatch.setattr(topic_reader, "load_settings", lambda: settings)
    with pytest.raises(ServerUnreachableError) as told, reaching():
        raise KafkaTimeoutError("late")
    assert str(told.value) == (
        f"The queue at broker:9092 does not answer: KafkaTimeoutError: late.{hint}"
    )


@pytest.mark.parametrize(
    ("held", "offsets"), [((3, 9), [3, 4]), ((0, 4), [2, 3]), ((7, 9), []), ((0, 1), [])]
)
def test_of_a_range_that_was_cut_the_rest_is_read(
    held: tuple[int, int], offsets: list[int]
) -> None:
    left = _reader({0: held}).read_what_is_left("t", 0, 2, 5, timeout_s=5)
    assert [event.offset for event in left] == offsets


def test_a_partition_that_fails_does_not_stop_the_others() -> None:
    reader = _reader({0: (0, 5), 1: (0, 5)})

    def work(partition: int) -> int:
        if partition == 0:
            raise ServerUnreachableError("no leader")
        return partition

    done, failed = reader.of_each_partition("t", work)
    assert (done, list(failed)) == ({1: 1}, [0])
