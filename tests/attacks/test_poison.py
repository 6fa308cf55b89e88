"""Poison in a topic: what cannot be read, stored or decompressed stops nothing behind it.

The assets and the sensor run in this process, on the real catalog, queue and object store.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, cast
from uuid import uuid4

import dagster as dg
import pytest
from kafka import KafkaProducer
from kafka.record import default_records
from sqlalchemy import select

from tests.integration.media_rows import png, store
from tests.integration.test_second_chances import (
    effects,
    listed,
    now,
    publish,
    relay_has_published_all,
    run_batch,
    said,
    take_new_messages,
)
from tests.services.asgi_client import AsgiClient
from tests.stacks import running_stack
from tests.test_records import predicted
from tests.waiting import eventually
from visionops_assets.catalog.batches import OffsetRange, Problem
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.outbox import media_event
from visionops_assets.catalog.predictions import known_predictions, set_next_offset
from visionops_assets.catalog.schema import LogCut, PredictionRow
from visionops_assets.contracts import MediaStatus, Prediction
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.services.exporter.app import create_app
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages import monitoring
from visionops_assets.stages.media.sensors import media_events
from visionops_assets.stages.monitoring.prediction_log import prediction_log

BEYOND = 1_000_000
"""An offset that no log of these tests reaches."""
CODECS = ("gzip", "snappy", "lz4", "zstd")
POISON = (
    predicted(label="a\0b"),
    predicted(probabilities=[float("nan"), 1.0]),
    predicted(latency_ms=float("inf")),
    predicted(model_version=2**70),
    predicted(probabilities=[]),
    predicted(predicted_at="0001-01-01T00:00:00+23:00"),
)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with running_stack(tmp_path_factory.mktemp("poison"), {}, "--only", "relay") as settings:
        yield settings


def send(topic: str, *values: bytes, codec: str | None = None) -> None:
    """Write messages to a topic as any client of Kafka might."""
    address = load_settings().kafka_bootstrap_servers
    producer = KafkaProducer(bootstrap_servers=address, compression_type=codec, acks="all")
    try:
        for future in [producer.send(topic, value) for value in values]:
            future.get(timeout=20)
    finally:
        producer.close(timeout=5)


def prediction() -> tuple[bytes, Any]:
    """A prediction that no test made before, and its id."""
    prediction_id = uuid4()
    return json.dumps(predicted(prediction_id=str(prediction_id))).encode(), prediction_id


def take_predictions() -> None:
    resources = {
        "catalog": Catalog(),
        "broker": Broker(),
        "object_store": ObjectStore(),
        "tables": dg.mem_io_manager,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([prediction_log], instance=instance, resources=resources)
    eventually("empty outbox", relay_has_published_all)


def are_known(*prediction_ids: Any) -> bool:
    with Catalog().begin() as session:
        return known_predictions(session, prediction_ids) == set(prediction_ids)


def metrics() -> str:
    return AsgiClient(create_app(Catalog(), load_settings())).get("/metrics").text


@pytest.mark.parametrize("codec", CODECS)
def test_compressed_messages_are_read(queue: Settings, codec: str) -> None:
    """Messages in a compression that ours do not use are read like all others."""
    media = store(png(), announced=False)
    value, prediction_id = prediction()
    send(queue.kafka_media_topic, media_event(media).model_dump_json().encode(), codec=codec)
    send(queue.kafka_predictions_topic, value, codec=codec)
    take_new_messages()
    take_predictions()
    assert now(media).status is MediaStatus.PROCESSED
    assert are_known(prediction_id)


def test_poison_among_predictions_is_a_dead_letter(queue: Settings) -> None:
    """NUL, NaN, huge numbers and no JSON among predictions: all others are taken."""
    (first, first_id), (last, last_id) = prediction(), prediction()
    poison = [json.dumps(each).encode() for each in POISON]
    poison += [b"", b"\xff\0", b"[" * 100_000, b"{}"]
    send(queue.kafka_predictions_topic, first, *poison, last)
    take_predictions()
    assert are_known(first_id, last_id)
    letters = [row for row in listed("dead-letters") if row["letter"].startswith("predictions-")]
    assert len(letters) == len(poison)
    assert {row["code"] for row in letters} == {"unreadable_prediction"}
    assert f'visionops_dead_letters{{topic="predictions"}} {len(poison)}.0' in metrics()
    assert "label" in said("dead-letters", "show", letters[0]["letter"])


def test_a_prediction_that_was_a_dead_letter_is_replayed_once(
    queue: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter of an older version, which did not know a role: replayed twice, it is taken once."""
    value, prediction_id = prediction()
    unknown = json.dumps(predicted(role="a role of a later version")).encode()
    send(queue.kafka_predictions_topic, unknown)
    with monkeypatch.context() as older:
        older.setattr(import_module(f"{monitoring.__name__}.prediction_log"), "parse", refusing_all)
        send(queue.kafka_predictions_topic, value)
        take_predictions()
    before = listed("dead-letters")
    still_unknown, letter = before[-2:]
    assert (letter["code"], letter["handled"]) == ("unreadable_prediction", False)
    assert not are_known(prediction_id)
    assert str(prediction_id) in said("dead-letters", "show", letter["letter"])
    for _ in range(2):
        said("dead-letters", "replay", letter["letter"], still_unknown["letter"])
        take_predictions()
    with Catalog().begin() as session:
        known = select(PredictionRow).where(PredictionRow.prediction_id == prediction_id)
        assert len(session.scalars(known).all()) == 1
    handled = {row["letter"]: row["handled"] for row in listed("dead-letters")}
    assert handled[letter["letter"]]
    assert not handled[still_unknown["letter"]]
    # Each replay of what still cannot be read is one letter more.
    assert len(handled) == len(before) + 2


def refusing_all(
    queued: Sequence[QueuedEvent], record: type[Prediction], code: str
) -> tuple[list[tuple[int, Prediction]], dict[int, Problem]]:
    """Read as a version that knows none of these records."""
    return [], {message.offset: Problem(code, "role: unknown") for message in queued}


def test_records_of_a_later_version(queue: Settings) -> None:
    """Messages with a field that this version does not know are read like all others."""
    media = store(png(), announced=False)
    event = media_event(media).model_dump(mode="json") | {"of_a_later_version": {"deep": [1]}}
    value, prediction_id = prediction()
    send(queue.kafka_media_topic, json.dumps(event).encode())
    send(queue.kafka_predictions_topic, value[:-1] + b', "of_a_later_version": "x"}')
    take_new_messages()
    take_predictions()
    assert now(media).status is MediaStatus.PROCESSED
    assert are_known(prediction_id)


@pytest.mark.parametrize("payload", [b"garbage", gzip.compress(bytes(200 * 1024**2))], ids=len)
def test_a_batch_that_does_not_decompress_stops_nothing(
    queue: Settings, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of garbage, or one of 200 MB decompressed, stops neither media nor monitoring."""
    with monkeypatch.context() as patch:
        patch.setattr(default_records, "gzip_encode", lambda *_, **__: payload)
        try:
            for topic in (queue.kafka_media_topic, queue.kafka_predictions_topic):
                send(topic, b"x" * 300_000, codec="gzip")
        except Exception as error:
            pytest.skip(f"The broker refuses it: {error}")
    media, (value, prediction_id) = store(png()), prediction()
    send(queue.kafka_predictions_topic, value)
    take_new_messages()
    take_predictions()
    assert now(media).status is MediaStatus.PROCESSED
    assert are_known(prediction_id)
    assert listed("dead-letters")[-1]["code"] == "unreadable_message"


def test_logs_that_are_replaced_are_read_from_their_beginning(queue: Settings) -> None:
    """Logs that end before what was taken of them: it is said, and nothing is lost or doubled."""
    before, (value, known_id) = store(png()), prediction()
    take_new_messages()
    send(queue.kafka_predictions_topic, value)
    take_predictions()
    topics = (queue.kafka_media_topic, queue.kafka_predictions_topic)
    with Catalog().begin() as session:
        set_next_offset(session, queue.kafka_predictions_topic, 0, BEYOND)
    again, (new, new_id) = store(png()), prediction()
    publish(media_event(before).model_dump_json().encode())
    send(queue.kafka_predictions_topic, value, new)
    eventually("empty outbox", relay_has_published_all)
    take_predictions()
    assert are_known(known_id, new_id)
    cursor = json.dumps({"0": BEYOND})
    for expected in (1, 0):
        result, cursor = tick(cursor)
        keys = [str(request.partition_key) for request in result.run_requests or ()]
        assert len(keys) == expected
        for key in keys:
            run_batch(OffsetRange.parse(key))
    assert now(again).status is MediaStatus.PROCESSED
    assert [effects(media)[1] for media in (before, again)] == [1, 1]
    with Catalog().begin() as session:
        cuts = session.scalars(select(LogCut)).all()
    assert {(cut.topic, cut.is_replaced) for cut in cuts} == {(topic, True) for topic in topics}
    assert 'visionops_log_cuts{topic="media"} 1.0' in metrics()


def tick(cursor: str) -> tuple[dg.SensorResult, str]:
    """Evaluate the sensor of media, as if its batches were due."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONOPS_BATCH_MAX_WAIT_S", "0")
        load_settings.cache_clear()
        resources = {"broker": Broker(), "catalog": Catalog()}
        context = dg.build_sensor_context(cursor=cursor, resources=resources)
        result = cast("dg.SensorResult", media_events(context))
    load_settings.cache_clear()
    return result, str(result.cursor)
