"""Cutting batches, reading events, telling batch keys apart."""

import json
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog.batches import OffsetRange
from visionops_assets.resources.broker import QueuedEvent
from visionops_assets.stages.media.assets import parse_events
from visionops_assets.stages.media.batching import BatchRule, cut_batches

NOW_S = 1_000_000.0


def events(ages_s: list[float], first_offset: int = 0) -> list[QueuedEvent]:
    return [
        QueuedEvent(first_offset + i, int((NOW_S - age_s) * 1000), b"")
        for i, age_s in enumerate(ages_s)
    ]


@given(
    first=st.integers(0, 10**9),
    count=st.integers(0, 60),
    most=st.integers(1, 20),
    age_s=st.floats(0, 100),
)
def test_batches_cover_a_prefix_once_and_in_order(
    first: int, count: int, most: int, age_s: float
) -> None:
    queued = events([age_s] * count, first)
    batches = cut_batches("media", 0, queued, BatchRule(most, 30.0), NOW_S)
    position = first
    for batch in batches:
        assert batch.start == position
        assert 0 < batch.end - batch.start <= most
        position = batch.end
    left = first + count - position
    assert left < most
    assert left == 0 or age_s < 30.1


def test_a_short_batch_waits_until_it_is_due() -> None:
    rule = BatchRule(max_events=3, max_wait_s=30.0)
    assert cut_batches("media", 0, events([29.0, 1.0]), rule, NOW_S) == []
    assert cut_batches("media", 0, events([31.0, 1.0]), rule, NOW_S) == [
        OffsetRange("media", 0, 0, 2)
    ]


def test_a_full_batch_does_not_wait() -> None:
    rule = BatchRule(max_events=2, max_wait_s=30.0)
    assert cut_batches("media", 3, events([0.0, 0.0, 0.0], 7), rule, NOW_S) == [
        OffsetRange("media", 3, 7, 9)
    ]


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
