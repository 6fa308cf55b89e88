"""Records between versions: what earlier ones wrote is read, and what later ones may add ignored.

`records/<name>.jsonl` holds one record per set of fields that a version wrote, oldest first, made
by the code of that version. A version that adds a field adds a line, and changes none.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from visionops_assets import contracts
from visionops_assets.contracts import DeadLetter, MediaEvent, ModelCard, Prediction
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.stages.dead_letters import UNREADABLE, parse
from visionops_assets.stages.media.events import parse_events

FILES = sorted((Path(__file__).parent / "records").glob("*.jsonl"))
WRITTEN = [
    pytest.param(path.stem, line, id=f"{path.stem}-{number}")
    for path in FILES
    for number, line in enumerate(path.read_text().splitlines(), start=1)
]
OF_THE_QUEUE = (MediaEvent, DeadLetter, Prediction)


def read(name: str, fields: dict[str, Any]) -> BaseModel:
    record: type[BaseModel] = getattr(contracts, name)
    return record.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize(("name", "line"), WRITTEN)
def test_what_an_earlier_version_wrote_is_read(name: str, line: str) -> None:
    written = json.loads(line)
    kept = read(name, written).model_dump(mode="json")
    assert {field: kept[field] for field in written if field in kept} == {
        field: value for field, value in written.items() if field in kept
    }


@pytest.mark.parametrize(("name", "line"), WRITTEN)
def test_fields_of_later_versions_are_ignored(name: str, line: str) -> None:
    """Also in records within a record: only what says how pixels are made is strict."""
    written = json.loads(line)
    assert read(name, with_more(written)) == read(name, written)


def with_more(value: Any) -> Any:
    """Add an unknown field to each record within a value; maps of files and specs stay."""
    if isinstance(value, list):
        return [with_more(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = ("spec", "sha256_by_file")
    within = {name: each if name in kept else with_more(each) for name, each in value.items()}
    return within | {"of_a_later_version": {"x": 1}}


@pytest.mark.parametrize("record", OF_THE_QUEUE)
def test_the_queue_gets_no_field_that_a_strict_reader_lacks(record: type[BaseModel]) -> None:
    """Readers of the versions up to this one refuse unknown fields, and run beside it for minutes.

    The version after this one may add fields: it is rolled back to readers that ignore them. Then
    this test goes.
    """
    path = Path(__file__).parent / "records" / f"{record.__name__}.jsonl"
    newest = json.loads(path.read_text().splitlines()[-1])
    assert set(record.model_fields) == set(newest)


def test_an_event_of_a_later_version_is_no_dead_letter() -> None:
    (line,) = (Path(__file__).parent / "records" / "MediaEvent.jsonl").read_text().splitlines()
    value = json.dumps(with_more(json.loads(line))).encode()
    events, problems = parse_events([QueuedEvent(5, 0, value)])
    assert [offset for offset, _ in events] == [5]
    assert problems == {}


def test_an_option_of_frames_is_never_ignored() -> None:
    """Another preprocessing than the model was trained on would answer wrongly, and silently."""
    *_, line = (Path(__file__).parent / "records" / "ModelCard.jsonl").read_text().splitlines()
    card = json.loads(line)
    card["spec"]["filters"] = ["clahe"]
    with pytest.raises(ValidationError, match="filters"):
        ModelCard.model_validate(card)


def predicted(**fields: Any) -> dict[str, Any]:
    line = (Path(__file__).parent / "records" / "Prediction.jsonl").read_text().splitlines()[-1]
    return {**json.loads(line), **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "a\0b"},
        {"model_name": "\0"},
        {"snapshot_id": "ds\0"},
        {"probabilities": [float("nan"), 1.0]},
        {"probabilities": []},
        {"embedding": [float("inf")]},
        {"embedding": [1e300]},
        {"quality": [float("nan")] * 4},
        {"latency_ms": float("nan")},
        {"latency_ms": 1e300},
        {"model_version": 2**63},
        {"model_version": 0},
        {"predicted_at": "0001-01-01T00:00:00+23:00"},
        {"predicted_at": "9999-12-31T23:59:59-23:00"},
        {"image": "abc"},
    ],
    ids=str,
)
def test_what_the_catalog_cannot_hold_is_no_prediction(fields: dict[str, Any]) -> None:
    good, bad = (json.dumps(predicted(**each)).encode() for each in ({}, fields))
    queued = [QueuedEvent(offset, 0, value) for offset, value in enumerate((good, bad, good))]
    parsed, problems = parse(queued, Prediction, "unreadable_prediction")
    assert [offset for offset, _ in parsed] == [0, 2]
    assert problems[1].code == "unreadable_prediction"
    assert problems[1].detail.isprintable()


def test_a_time_without_a_zone_is_utc() -> None:
    record = Prediction.model_validate(predicted(predicted_at="2026-01-01T00:00:00"))
    assert record.predicted_at.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_message_that_the_queue_could_not_give_has_its_own_code() -> None:
    _, problems = parse([QueuedEvent(4, 0, b"", "its CRC\0")], Prediction, "x")
    assert problems[4].code == UNREADABLE
    assert "\0" not in problems[4].detail
