"""What an artifact misses beside PyTorch, and times that every clock can tell."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from visionops_assets.contracts import Artifact, ArtifactReport, ExportedModel, ParityBound
from visionops_assets.contracts.base import MAX_INTEGER, Moment, Number, Record, Text

BOUND = ParityBound(min_label_agreement=0.99, max_probability_error=0.05, max_accuracy_drop=0.01)
EXACT = {
    "label_agreement": 0.99,
    "max_probability_error": 0.05,
    "accuracy": 0.96,
    "reference_accuracy": 0.97,
}
"""Each on its bound: in binary 0.97 - 0.96 is more than 0.01."""


def report(artifact: Artifact = Artifact.ONNX_INT8, **given: Any) -> ArtifactReport:
    fields = {"file": "model.onnx", "images": 100, "latency_ms": 1.0, "bound": BOUND}
    return ArtifactReport(artifact=artifact, **{**fields, **EXACT, **given})


def test_what_lies_on_its_bound_is_usable() -> None:
    assert report().accuracy_drop == 0.01
    assert report().shortfalls == ()
    assert report().usable


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label_agreement": 0.98}, "label agreement 0.98 < 0.99"),
        ({"max_probability_error": 0.0512}, "largest probability error 0.051 > 0.05"),
        ({"accuracy": 0.95}, "accuracy drop 0.0200 > 0.01"),
    ],
)
def test_each_bound_that_is_missed_is_said(given: dict[str, Any], said: str) -> None:
    found = report(**given)
    assert found.shortfalls == (said,)
    assert not found.usable
    assert report(**given, bound=ParityBound()).usable, "by default nothing is bound"


def test_a_better_artifact_has_a_drop_below_zero() -> None:
    assert report(accuracy=1.0).accuracy_drop == -0.03


def test_a_report_is_found_by_its_artifact() -> None:
    made = report(Artifact.ONNX_FP32), report(Artifact.ONNX_INT8)
    model = ExportedModel(
        model_name="m",
        model_version=1,
        snapshot_id="s",
        object_prefix="p",
        sha256_by_file={},
        artifacts=made,
    )
    assert [model.report(each.artifact) for each in made] == list(made)
    assert model.report(Artifact.TENSORRT_FP16) is None


MOMENT = TypeAdapter[datetime](Moment)


@pytest.mark.parametrize(("year", "is_taken"), [(1, False), (2, True), (9998, True), (9999, False)])
def test_a_time_lies_in_the_calendars_of_every_zone(year: int, is_taken: bool) -> None:
    moment = datetime(year, 6, 1, tzinfo=UTC)
    if is_taken:
        assert MOMENT.validate_python(moment) == moment
        return
    with pytest.raises(ValidationError, match="between 2 and 9998"):
        MOMENT.validate_python(moment)


def test_a_time_without_a_zone_is_utc_and_others_keep_theirs() -> None:
    plain = MOMENT.validate_python("2026-03-01T12:00:00")
    assert plain == datetime(2026, 3, 1, 12, tzinfo=UTC)
    zone = timezone(timedelta(hours=2))
    assert MOMENT.validate_python("2026-03-01T12:00:00+02:00").utcoffset() == zone.utcoffset(None)


def test_numbers_and_texts_are_those_that_can_be_stored() -> None:
    """Squares of single precision are finite in double precision; a column holds 64 bits."""
    number, text = TypeAdapter[float](Number), TypeAdapter[str](Text)
    for value in (3.5e38, -3.5e38):
        assert number.validate_python(value) == value
        with pytest.raises(ValidationError):
            number.validate_python(value * 1.01)
    assert text.validate_python("a\nb") == "a\nb"
    with pytest.raises(ValidationError):
        text.validate_python("a\0b")
    assert int.from_bytes(b"\x7f" + b"\xff" * 7) == MAX_INTEGER


class Plain(Record):
    """A record of one number."""

    number: float = 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_record_takes_what_is_no_number(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Plain(number=value)


def test_no_record_changes_or_takes_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Plain().number = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Plain.model_validate({"numbre": 1})
