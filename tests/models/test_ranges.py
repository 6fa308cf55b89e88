"""The default and the range of each number of a declaration: a limit that moves is seen here."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.test_settings_ranges import bounds_of
from visionops_assets.models import ModelDeclaration

RANGES: dict[str, tuple[float | None, str]] = {
    "snapshots.min_new_labels": (500, "> 0"),
    "snapshots.pause_s": (20.0, ">= 0"),
    "snapshots.min_new_share": (0.1, "> 0"),
    "snapshots.max_wait_s": (600.0, ">= 0"),
    "snapshots.holdout_percent": (20, "> 0 < 100"),
    "snapshots.min_holdout_per_class": (5, "> 0"),
    "snapshots.group_window_s": (0.0, ">= 0"),
    "training.steps": (None, "> 0"),
    "training.learning_rate": (None, "> 0 <= 1"),
    "training.augment.crop": (0.1, ">= 0 < 1"),
    "training.augment.shift": (0.08, ">= 0 < 1"),
    "training.augment.zoom": (0.1, ">= 0 < 1"),
    "training.augment.rotation_deg": (10.0, ">= 0 <= 180"),
    "training.augment.brightness": (0.2, ">= 0 <= 1"),
    "training.augment.colour": (0.1, ">= 0 <= 1"),
    "gate.min_margin": (0.1, ">= 0 < 1"),
    "gate.max_regression": (0.02, ">= 0 <= 1"),
    "gate.min_score": (None, ">= 0 < 1"),
    "gate.min_accuracy": (None, ">= 0 < 1"),
    "frames.size_px": (64, ">= 8 <= 4096"),
    "frames.jpeg_quality": (None, ">= 50 <= 100"),
    "frames.max_frames_per_video": (None, ">= 1 <= 20000"),
    "frames.video_sample_interval_s": (1.0, "> 0"),
    "serving.max_accuracy_drop": (0.01, ">= 0 <= 1"),
    "serving.rollouts.min_requests": (200, "> 0"),
    "serving.rollouts.max_error_increase": (0.01, ">= 0 <= 1"),
    "serving.rollouts.max_latency_ratio": (1.5, "> 0"),
    "serving.rollouts.min_agreement": (0.9, ">= 0 <= 1"),
    "serving.rollouts.max_s": (3_600, "> 0"),
    "monitoring.window_predictions": (2_000, "> 0"),
    "monitoring.min_accuracy": (None, "> 0 < 1"),
    "monitoring.audit_percent": (10.0, "> 0 <= 100"),
    "monitoring.average_run_length": (5_000, "> 1"),
    "monitoring.drift_significance": (0.01, "> 0 < 1"),
    "monitoring.drift_min_predictions": (100, "> 1"),
    "retraining.min_new_labels": (100, "> 0"),
    "retraining.cooldown_s": (1_800, ">= 0"),
    "retraining.max_cooldown_s": (86_400, ">= 0"),
    "retraining.max_s": (7_200, "> 0"),
    "retraining.canary_percent": (20.0, ">= 0 <= 100"),
    "retraining.rollback_within_labels": (500, ">= 0"),
    "labelling.batch_size": (200, "> 0"),
    "labelling.reports": (20, "> 0"),
    "labelling.batch_max_age_s": (604_800, "> 0"),
}
"""By place: the default, and the bounds in words."""


def fields(record: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each field with its place, those of sections too."""
    for name, field in record.model_fields.items():
        place = f"{path}.{name}".lstrip(".")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, place)
        else:
            yield place, field


FIELDS = dict(fields(ModelDeclaration))


@pytest.mark.parametrize("place", RANGES)
def test_a_number_has_its_default_and_its_range(place: str) -> None:
    assert (FIELDS[place].default, bounds_of(FIELDS[place])) == RANGES[place]


def test_every_range_is_in_the_table() -> None:
    assert {place for place, field in FIELDS.items() if bounds_of(field)} == RANGES.keys()


def test_every_field_has_a_meaning() -> None:
    assert [place for place, field in FIELDS.items() if not field.description] == []
