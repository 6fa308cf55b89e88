"""Cutting batches, reading events, telling batch keys apart."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import accumulate
from typing import Any, cast
from uuid import uuid4

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.memory_logs import CutCatalog, MemoryLogs
from visionops_assets.catalog.batches import OffsetRange, Problem
from visionops_assets.contracts import DeadLetter
from visionops_assets.errors import (
    InvalidRequestError,
    MissingCodecError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.stages.dead_letters import letters_of
from visionops_assets.stages.media.assets import raw_media
from visionops_assets.stages.media.batching import BatchRule, cut_batches
from visionops_assets.stages.media.events import MAX_EVENT_BYTES, parse_events
from visionops_assets.stages.media.sensors import media_events
from visionops_assets.stages.partitions import MEDIA_BATCHES, batch_of

START_S = 1_000_000.0


ANY_SIZE = 10**12


def events(
    times_s: list[float], first_offset: int = 0, *, values: Sequence[bytes] = ()
) -> list[QueuedEvent]:
    return [
        QueuedEvent(first_offset + i, int((START_S + time_s) * 1000), values[i] if values else b"")
        for i, time_s in enumerate(times_s)
    ]


gaps_s = st.lists(st.floats(0, 40), max_size=60)


@given(first=st.integers(0, 10**9), gaps_s=gaps_s, most=st.integers(1, 20), late_s=st.floats(0, 99))
def test_batches_cover_a_prefix_once_and_in_order(
    first: int, gaps_s: list[float], most: int, late_s: float
) -> None:
    queued = events(list(accumulate(gaps_s)), first)
    now_s = START_S + sum(gaps_s) + late_s
    rule = BatchRule(most, ANY_SIZE, 30.0)
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
    rule = BatchRule(most, ANY_SIZE, 30.0)
    before = cut_batches("media", 0, queued, rule, START_S + sum(gaps_s))
    grown = [*queued, *events([sum(gaps_s)] * most, len(queued))]
    after = cut_batches("media", 0, grown, rule, START_S + sum(gaps_s) + 500)
    full = [batch for batch in before if batch.end - batch.start == most]
    assert after[: len(full)] == full


def test_a_backlog_is_not_cut_into_a_batch_an_event() -> None:
    """Events that came a minute apart while Dagster was down."""
    queued = events([60.0 * minute for minute in range(500)])
    batches = cut_batches("media", 0, queued, BatchRule(200, ANY_SIZE, 30.0), START_S + 40_000)
    assert [batch.end for batch in batches] == [200, 400, 500]


def test_a_short_batch_waits_until_it_is_due() -> None:
    rule = BatchRule(max_events=3, max_bytes=ANY_SIZE, max_wait_s=30.0)
    queued = events([0.0, 29.0])
    assert cut_batches("media", 0, queued, rule, START_S + 29.5) == []
    assert cut_batches("media", 0, queued, rule, START_S + 30.0) == [OffsetRange("media", 0, 0, 2)]
    assert cut_batches("media", 0, queued, rule, START_S + 30.5) == [OffsetRange("media", 0, 0, 2)]


@given(sizes=st.lists(st.integers(1, 100), max_size=40), most=st.integers(1, 120))
def test_a_batch_has_no_more_bytes_than_its_rule_says(sizes: list[int], most: int) -> None:
    queued = events([0.0] * len(sizes), values=[announcement(size) for size in sizes])
    batches = cut_batches("media", 0, queued, BatchRule(99, most, 30.0), START_S + 60)
    assert sum(batch.end - batch.start for batch in batches) == len(sizes)
    for batch in batches:
        of_batch = sizes[batch.start : batch.end]
        assert sum(of_batch) <= most or len(of_batch) == 1
        assert batch.end == len(sizes) or sum(of_batch) + sizes[batch.end] > most


def test_a_batch_that_is_full_by_its_bytes_does_not_wait() -> None:
    rule = BatchRule(max_events=9, max_bytes=100, max_wait_s=30.0)
    queued = events([0.0] * 3, values=[announcement(60), announcement(40), announcement(1)])
    assert cut_batches("media", 0, queued, rule, START_S) == [OffsetRange("media", 0, 0, 2)]
    assert cut_batches("media", 0, queued[:2], rule, START_S) == [OffsetRange("media", 0, 0, 2)]
    assert cut_batches("media", 0, queued[:1], rule, START_S) == []


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"bytes": "many"}', b"\xff"])
def test_what_announces_no_size_counts_as_a_message_alone(value: bytes) -> None:
    queued = events([0.0] * 3, values=[value] * 3)
    batches = cut_batches("media", 0, queued, BatchRule(2, 1, 30.0), START_S)
    assert batches == [OffsetRange("media", 0, 0, 2)]


def announcement(file_bytes: int) -> bytes:
    return json.dumps({"bytes": file_bytes}).encode()


def test_a_full_batch_does_not_wait() -> None:
    rule = BatchRule(max_events=2, max_bytes=ANY_SIZE, max_wait_s=30.0)
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


def no_servers_and_batches(*keys: str) -> tuple[dg.DagsterInstance, dict[str, Any]]:
    """Return an instance that knows partitions of these names, and resources that are not there."""
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions(MEDIA_BATCHES, keys)
    resources = dict.fromkeys(("broker", "catalog", "object_store"), object())
    return instance, resources | {"tables": dg.mem_io_manager}


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, "this one names none: choose a partition of media_batches."),
        ("nonsense", "'nonsense' names no batch of media"),
        ("media-0-3", "'media-0-3' names no batch of media"),
        ("media-0-3-3", "'media-0-3-3' names no batch of media"),
        ("media-0-4-3", "'media-0-4-3' names no batch of media"),
        ("audio-0-1-3", "a batch of another topic than 'media'"),
        ("predictions-0-1-2", "a batch of another topic than 'media'"),
    ],
)
def test_a_run_of_a_batch_that_cannot_be_is_refused_in_one_sentence(
    key: str | None, told: str
) -> None:
    instance, resources = no_servers_and_batches(*([key] if key else []))
    result = dg.materialize(
        [raw_media],
        partition_key=key,
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )
    data = result.failure_data_for_node("raw_media")
    assert data is not None
    assert data.user_failure_data is not None
    assert told in str(data.user_failure_data.description)
    assert data.user_failure_data.metadata["code"].value == "invalid_request"


@pytest.mark.parametrize(("key", "is_known"), [("media-0-1-2", True), ("media-0-2-3", False)])
def test_a_run_of_a_batch_that_was_never_cut_is_refused(key: str, is_known: bool) -> None:
    """Dagster starts a run of any partition that is asked for by its API."""
    instance, _ = no_servers_and_batches("media-0-1-2")
    refused = pytest.raises(InvalidRequestError, match=f"There is no batch '{key}'")
    with (
        dg.build_asset_context(partition_key=key, instance=instance) as context,
        nullcontext() if is_known else refused,
    ):
        assert batch_of(context).batch_key == key


def event_of(**fields: object) -> dict[str, object]:
    return {
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
    } | fields


def test_messages_with_a_problem_are_named_and_do_not_hide_the_others() -> None:
    good = event_of()
    messages = [
        b"not json",
        json.dumps(good).encode(),
        json.dumps(event_of(schema_version=2)).encode(),
        b"",
        b"[" * 100_000,
        b"x" * (MAX_EVENT_BYTES + 1),
        json.dumps(event_of(media_id="\x00\x1b[2J")).encode(),
    ]
    queued = [QueuedEvent(10 + i, 0, value) for i, value in enumerate(messages)]
    parsed, problems = parse_events(queued)
    assert [(offset, str(event.media_id)) for offset, event in parsed] == [(11, good["media_id"])]
    assert set(problems) == {10, 12, 13, 14, 15, 16}
    assert problems[15].code == "oversized_event"
    assert {p.code for offset, p in problems.items() if offset != 15} == {"unreadable_event"}
    assert problems[12].detail.startswith("schema_version: ")
    assert all(problem.detail.isprintable() for problem in problems.values())


@given(st.lists(st.tuples(st.binary(max_size=50), st.booleans()), max_size=10))
def test_dead_letters_keep_the_message_and_where_it_lay(messages: list[tuple[bytes, bool]]) -> None:
    queued = [QueuedEvent(5 + i, 0, value) for i, (value, _) in enumerate(messages)]
    problems = {5 + i: Problem("c", "d") for i, (_, bad) in enumerate(messages) if bad}
    letters = letters_of("media", 2, queued, problems)
    read_back = [DeadLetter.model_validate_json(letter.model_dump_json()) for letter in letters]
    expected = {f"media-2-{e.offset}": e.value for e in queued if e.offset in problems}
    assert {letter.place: letter.value for letter in read_back} == expected


def test_a_dead_letter_fits_into_a_message() -> None:
    queued = [QueuedEvent(0, 0, b"\xff" * 3_000_000)]
    _, problems = parse_events(queued)
    (letter,) = letters_of("media", 0, queued, problems)
    assert len(letter.model_dump_json()) < 1_000_000


@pytest.mark.parametrize(
    ("cursor", "keys", "then", "told"),
    [
        (None, ["media-0-40-50"], {"0": 50}, None),
        ('{"0": 45}', ["media-0-45-50"], {"0": 50}, None),
        ('{"0": 50}', [], {"0": 50}, None),
        ('{"0": 12}', ["media-0-40-50"], {"0": 50}, "lost its offsets [12, 40)"),
        ('{"0": 90}', ["media~2-0-40-50"], {"0": 90, "0~2": 50}, "as media~2"),
    ],
    ids=["first tick", "goes on", "nothing new", "the log was cut", "the log was replaced"],
)
def test_a_log_that_lost_messages_is_read_on(
    cursor: str | None,
    keys: list[str],
    then: dict[str, int],
    told: str | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    catalog = CutCatalog()
    resources = {"broker": MemoryLogs({0: (40, 50)}), "catalog": catalog}
    for expected in (keys, []):  # Once read, it is asked for no more.
        context = dg.build_sensor_context(cursor=cursor, resources=resources)
        result = cast("dg.SensorResult", media_events(context))
        assert [request.run_key for request in result.run_requests or ()] == expected
        cursor = result.cursor
    assert json.loads(str(cursor)) == then
    said = capfd.readouterr().err
    assert told is None or said.count(told) == 1
    assert len(catalog.cuts) == (told is not None)


@pytest.mark.parametrize("error", [MissingCodecError("lz4"), ServerUnreachableError("no leader")])
def test_a_partition_that_fails_stops_no_other(
    error: VisionOpsError, capfd: pytest.CaptureFixture[str]
) -> None:
    log = MemoryLogs({0: (0, 9), 1: (0, 9), 2: (0, 9)}, failing=[1])
    log.error = error
    resources = {"broker": log, "catalog": CutCatalog()}
    context = dg.build_sensor_context(cursor='{"0": 5, "1": 5, "2": 5}', resources=resources)
    result = cast("dg.SensorResult", media_events(context))
    keys = [request.run_key for request in result.run_requests or ()]
    assert keys == ["media-0-5-9", "media-2-5-9"]
    assert json.loads(str(result.cursor)) == {"0": 9, "1": 5, "2": 9}
    assert f"Partition 1 waits: {error}" in capfd.readouterr().err


def test_where_no_partition_can_be_read_it_is_an_error() -> None:
    log = MemoryLogs({0: (0, 9), 1: (0, 9)}, failing=[0, 1])
    log.error = MissingCodecError("lz4")
    with pytest.raises(MissingCodecError):
        log.of_each_partition("t", lambda partition: log.poll("t", partition, 0, 1, 1))


@pytest.mark.parametrize(("excess", "code"), [(0, "unreadable_event"), (1, "oversized_event")])
def test_a_message_of_more_than_256_kib_is_not_even_read(excess: int, code: str) -> None:
    value = b"x" * (256 * 1024 + excess)
    events, problems = parse_events([QueuedEvent(3, 0, value)])
    assert events == []
    assert problems[3].code == code
    assert excess == 0 or problems[3].detail == "It has 262,145 bytes."
