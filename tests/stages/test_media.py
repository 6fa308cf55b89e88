"""Cutting batches, reading events, telling batch keys apart."""

import json
from itertools import accumulate
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.broker import QueuedEvent
from visionops_assets.stages.media.assets import parse_events
from visionops_assets.stages.media.batching import BatchRule, cut_batches

START_S = 1_000_000.0


def events(times_s: list[float], first_offset: int = 0) -> list[QueuedEvent]:
    return [
        QueuedEvent(first_offset + i, int((START_S + time_s) * 1000), b"")
        for i, time_s in enumerate(times_s)
    ]


gaps_s = st.lists(st.floats(0, 40), max_size=60)


@given(first=st.integers(0, 10**9), gaps_s=gaps_s, most=st.integers(1, 20), late_s=st.floats(0, 99))
def test_batches_cover_a_prefix_once_and_in_order(
    first: int, gaps_s: list[float], most: int, late_s: float
) -> None:
    queued = events(list(accumulate(gaps_s)), first)
    now_s = START_S + sum(gaps_s) + late_s
    rule = BatchRule(most, 30.0)
    position = first
    for batch in cut_batches("media", 0, queued, rule, now_s):
        assert batch.start == position
        assert 0 < batch.end - batch.start <= most
        position = batch.end
    left = queued[position - first :]
    assert len(left) < most
    assert not left or now_s - left[0].timestamp_ms / 1000 <= 30.001


@given(gaps_s=gaps_s, most=st.integers(1, 20))
def test_a_later_look_cuts_full_batches_at_the_same_offsets(gaps_s: list[float], most: int) -> None:
    queued = events(list(accumulate(gaps_s)))
    rule = BatchRule(most, 30.0)
    before = cut_batches("media", 0, queued, rule, START_S + sum(gaps_s))
    grown = [*queued, *events([sum(gaps_s)] * most, len(queued))]
    after = cut_batches("media", 0, grown, rule, START_S + sum(gaps_s) + 500)
    full = [batch for batch in before if batch.end - batch.start == most]
    assert after[: len(full)] == full


def test_a_backlog_is_not_cut_into_a_batch_an_event() -> None:
    """Events that came a minute apart while Dagster was down."""
    queued = events([60.0 * minute for minute in range(500)])
    batches = cut_batches("media", 0, queued, BatchRule(200, 30.0), START_S + 40_000)
    assert [batch.end for batch in batches] == [200, 400, 500]


def test_a_short_batch_waits_until_it_is_due() -> None:
    rule = BatchRule(max_events=3, max_wait_s=30.0)
    queued = events([0.0, 29.0])
    assert cut_batches("media", 0, queued, rule, START_S + 29.5) == []
    assert cut_batches("media", 0, queued, rule, START_S + 30.5) == [OffsetRange("media", 0, 0, 2)]


def test_a_full_batch_does_not_wait() -> None:
    rule = BatchRule(max_events=2, max_wait_s=30.0)
    queued = events([0.0, 0.0, 0.0], 7)
    assert cut_batches("media", 3, queued, rule, START_S) == [OffsetRange("media", 3, 7, 9)]


@given(
    topic=st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True),
    partition=st.integers(0, 500),
    start=st.integers(0, 10**12),
    length=st.integers(1, 10**6),
)
def test_batch_keys_read_back(topic: str, partition: int, start: int, length: int) -> None:
    offsets = OffsetRange(topic, partition, start, start + length)
    assert OffsetRange.parse(offsets.batch_key) == offsets


def test_unreadable_messages_are_named_and_do_not_hide_the_others() -> None:
    good = {
        "event_id": str(uuid4()),
        "media_id": str(uuid4()),
        "object_key": "media/x",
        "sha256": "a" * 64,
        "bytes": 3,
        "kind": "image",
        "content_type": "image/png",
        "source": "upload",
        "captured_at": "2026-01-01T00:00:00Z",
        "stored_at": "2026-01-01T00:00:00Z",
    }
    later_version = good | {"schema_version": 2}
    messages = [b"not json", json.dumps(good).encode(), json.dumps(later_version).encode()]
    queued = [QueuedEvent(10 + i, 0, value) for i, value in enumerate(messages)]
    parsed, unreadable = parse_events(queued)
    assert [(offset, str(event.media_id)) for offset, event in parsed] == [(11, good["media_id"])]
    assert set(unreadable) == {10, 12}
