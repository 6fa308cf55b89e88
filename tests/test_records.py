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
from visionops_assets.resources.broker import QueuedEvent
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
    (line,) = (Path(__file__).parent / "records" / "ModelCard.jsonl").read_text().splitlines()
    card = json.loads(line)
    card["spec"]["filters"] = ["clahe"]
    with pytest.raises(ValidationError, match="filters"):
        ModelCard.model_validate(card)
