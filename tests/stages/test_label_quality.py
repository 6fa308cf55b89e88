"""Likely label errors of a snapshot, as a table with pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from tests.declared import declaration
from tests.vision.conftest import CLASSES, Digits
from visionops_assets.catalog.labelling import Subject
from visionops_assets.catalog.schema import TrainedVersion
from visionops_assets.contracts import Purpose
from visionops_assets.resources import snapshot_reading
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import MEMBER_COLUMNS
from visionops_assets.resources.snapshot_reading import Chosen, SnapshotFiles
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.labels import doubting, quality
from visionops_assets.stages.labels.doubts import Doubted
from visionops_assets.stages.labels.quality import label_quality_of
from visionops_assets.vision.training import TrainedModel

VERSION = TrainedVersion(
    model_name="m", model_version=3, mlflow_run_id="r", snapshot_id="ds", dagster_run_id="d"
)
WRONG = (7, 90, 251)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, digits: Digits, trained: TrainedModel) -> SnapshotFiles:
    """Let a snapshot have three wrong labels, and the small model be trained on it."""
    labels = [CLASSES[label] for label in digits.labels]
    for row in WRONG:
        labels[row] = CLASSES[(digits.labels[row] + 1) % len(CLASSES)]
    columns: dict[str, Any] = dict.fromkeys(MEMBER_COLUMNS, "x") | {
        "frame_id": [f"frame-{row}" for row in range(len(labels))],
        "group_id": digits.groups,
        "label": labels,
        "split": ["train" if row % 4 else "holdout" for row in range(len(labels))],
    }
    files = SnapshotFiles(digits.images, pd.DataFrame(columns))

    def read(_store: Any, _snapshot: str, _whereabouts: Any, chosen: Chosen) -> SnapshotFiles:
        return files.where(chosen(files.members))

    monkeypatch.setattr(snapshot_reading, "read_snapshot", read)
    monkeypatch.setattr(doubting, "download_model", lambda *_: (trained.module, trained.card))
    return files


def doubt() -> Doubted:
    nowhere: Any = None
    return doubting.doubt_labels(ObjectStore(), Tracking(), nowhere, VERSION, print, shown=2)


def test_wrong_labels_lead_the_table(stored: SnapshotFiles, digits: Digits) -> None:
    doubted = doubt()
    first = doubted.table.head(len(WRONG))
    assert set(first["frame_id"]) == {f"frame-{row}" for row in WRONG}
    for row in first.itertuples():
        number = int(str(row.frame_id).removeprefix("frame-"))
        assert row.likely_label == CLASSES[digits.labels[number]] != row.label
        assert row.split == stored.members["split"][number]
    assert doubted.table["score"].is_monotonic_increasing
    assert doubted.judged_frames == len(digits.images)
    shown = [int(str(key).removeprefix("frame-")) for key in doubted.table["frame_id"][:2]]
    assert [frame.tolist() for frame in doubted.frames] == digits.images[shown].tolist()


def test_of_a_large_snapshot_some_are_judged(
    stored: SnapshotFiles, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubting, "MOST_FRAMES", 200)
    doubted = doubt()
    assert doubted.judged_frames == 200
    numbers = [int(str(key).removeprefix("frame-")) for key in doubted.table["frame_id"]]
    given = stored.members["label"]
    assert list(doubted.table["label"]) == [given[number] for number in numbers]
    assert [frame.tolist() for frame in doubted.frames] == digits.images[numbers[:2]].tolist()


def test_groups_are_drawn_whole() -> None:
    groups = np.repeat(np.arange(50), 4).astype(np.str_)
    rows = doubting.drawn_rows(groups, 100)
    assert (np.diff(rows) > 0).all()
    assert np.bincount(rows // 4, minlength=50).tolist().count(4) == 25
    assert (rows == doubting.drawn_rows(groups, 100)).all()
    assert doubting.drawn_rows(groups, 200).tolist() == list(range(200))


def test_without_a_doubt_there_is_no_picture() -> None:
    nothing = Doubted(pd.DataFrame(columns=["label", "likely_label"]), [], 5)
    assert quality._pictures(nothing) == {}


class Sessions:
    """A catalog without a database: the functions that ask it are replaced."""

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None


def test_the_asset_asks_for_doubted_labels_of_the_training_side_alone(
    stored: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def subjects(_session: Any, name: str, frames: list[UUID], _frame_s: float) -> list[Subject]:
        asked.append((name, *frames))
        return [Subject(media_id=key) for key in frames]

    def open_batch(_session: Any, name: str, purpose: Purpose, **given: Any) -> object:
        asked.append((name, purpose, given["model_version"], len(given["media"])))
        return object()

    monkeypatch.setattr(quality, "newest_version", lambda *_: VERSION)
    monkeypatch.setattr(quality, "doubted_subjects", subjects)
    monkeypatch.setattr(quality, "open_batch", open_batch)
    ids = [str(uuid4()) for _ in range(len(stored.members))]
    stored.members["frame_id"] = ids
    model = declaration("gate")
    done = dg.materialize(
        [label_quality_of(model)],
        resources={
            "catalog": Sessions(),
            "object_store": ObjectStore(),
            "tracking": Tracking(),
            "tables": dg.mem_io_manager,
        },
    )
    (event,) = done.get_asset_materialization_events()
    found: dict[str, Any] = dict(event.materialization.metadata)
    assert found["doubted_frames"].value >= len(WRONG)
    assert found["model_version"].value == VERSION.model_version
    assert {"doubted", "commonest_doubts", "first_rows"} <= set(found)
    of_training = set(stored.members.query("split == 'train'")["frame_id"])
    (name, *frames), batch = asked
    assert set(map(str, frames)) <= of_training
    assert {ids[row] for row in WRONG if row % 4} <= set(map(str, frames))
    assert name == "gate"
    assert batch == ("gate", Purpose.CONFLICTS, VERSION.model_version, len(frames))
    assert found["asked_for"].value == len(frames)


def test_without_a_version_the_asset_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "newest_version", lambda *_: None)
    resources = {"catalog": Sessions(), "object_store": ObjectStore(), "tracking": Tracking()}
    done = dg.materialize(
        [label_quality_of(declaration("gate"))],
        resources={**resources, "tables": dg.mem_io_manager},
        raise_on_error=False,
    )
    (failure,) = done.get_step_failure_events()
    assert "gate has no version yet" in str(failure.event_specific_data)
