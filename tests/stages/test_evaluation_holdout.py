"""Which frames judge a candidate beside the champion: those that neither was trained on."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from tests.resources.earlier_snapshots import EARLIER_COLUMNS, write_with_images
from tests.resources.memory_store import MemoryStore
from tests.resources.whereabouts import Shelf
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import Candidate
from visionops_assets.errors import SnapshotError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_reading import SnapshotFiles, read_snapshot
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.evaluation import answering
from visionops_assets.stages.evaluation.answering import champion_answers_of, holdout_of

CANDIDATE = Candidate(model_name="m", model_version=2, mlflow_run_id="r", snapshot_id="new")


def store_with(**sides_by_snapshot: dict[str, str]) -> ObjectStore:
    """Return a store with snapshots, each given by the sides of its media; one frame per medium."""
    store = cast("ObjectStore", MemoryStore())
    for snapshot_id, sides in sides_by_snapshot.items():
        rows = [[f"f-{media}", media, media, "a", 0, side] for media, side in sides.items()]
        members = pd.DataFrame(rows, columns=EARLIER_COLUMNS)
        images = np.array([int(media) for media in sides], np.uint8)
        pixels = np.broadcast_to(images[:, None, None, None], (len(sides), 8, 8, 3))
        write_with_images(store, snapshot_id, pixels, members)
    return store


def judged(store: ObjectStore, champion: str | None) -> SnapshotFiles:
    """Return what a candidate of the newer snapshot is judged by."""
    snapshot = read_snapshot(store, CANDIDATE.snapshot_id, Shelf(MemoryStore()))
    current = champion_of(champion) if champion else None
    return holdout_of(store, CANDIDATE, current, snapshot)


def champion_of(snapshot_id: str) -> Release:
    return Release(model_name="m", model_version=1, snapshot_id=snapshot_id)


NEW = {"1": "train", "2": "holdout", "3": "holdout", "4": "holdout"}
OLD = {"1": "train", "2": "train", "3": "holdout"}


@pytest.mark.parametrize(
    ("champion", "judged_by"),
    [(None, ["2", "3", "4"]), ("new", ["2", "3", "4"]), ("old", ["3", "4"])],
)
def test_frames_that_a_model_was_trained_on_do_not_judge_it(
    champion: str | None, judged_by: list[str]
) -> None:
    store = store_with(new=NEW, old=OLD)
    holdout = judged(store, champion)
    assert holdout.members["media_id"].tolist() == judged_by
    assert holdout.images[:][:, 0, 0, 0].tolist() == [int(media) for media in judged_by]


def test_where_the_champion_was_trained_on_all_there_is_nothing_to_judge_by() -> None:
    store = store_with(new=NEW, old=dict.fromkeys("234", "train"))
    with pytest.raises(SnapshotError, match="new has no holdout frame that the champion was not"):
        judged(store, "old")


def test_where_the_champion_learned_from_the_same_snapshot_it_is_not_read_twice() -> None:
    store = cast("MemoryStore", store_with(new=NEW))
    holdout = judged(cast("ObjectStore", store), "new")
    assert holdout.members["media_id"].tolist() == ["2", "3", "4"]


class Runs:
    """Names the run of a version; only one model lies there."""

    def version_run_id(self, name: str, version: int) -> str:
        return f"{name}/{version}"


def test_the_champion_answers_unless_it_is_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answers(_: object, run_id: str, holdout: SnapshotFiles) -> SimpleNamespace:
        asked.append(run_id)
        return SimpleNamespace(evaluation=run_id)

    monkeypatch.setattr(answering, "answer", answers)
    holdout = judged(store_with(new=NEW), None)
    runs = cast("Tracking", Runs())
    assert champion_answers_of(runs, None, CANDIDATE, holdout) is None
    same = Release(model_name="m", model_version=2, snapshot_id="new")
    assert champion_answers_of(runs, same, CANDIDATE, holdout) is None
    assert asked == []
    found = champion_answers_of(runs, champion_of("new"), CANDIDATE, holdout)
    assert found is not None
    assert (found.model_version, str(found.evaluation)) == (1, "m/1")
    assert asked == ["m/1"]


def test_an_answer_is_the_likeliest_class_and_right_if_it_is_the_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], np.float32)
    card = SimpleNamespace(task="classification", classes=("b", "a"))
    monkeypatch.setattr(answering, "download_model", lambda *_: (None, card))
    monkeypatch.setattr(
        "visionops_assets.tasks.running.run",
        lambda *_: {"probabilities": probabilities, "embedding": np.zeros((3, 2), np.float32)},
    )
    holdout = judged(store_with(new=NEW), None)
    found = answering.answer(cast("Tracking", Runs()), "run", holdout)
    assert found.texts == ["a", "b", "b"]
    assert found.evaluation.correct.tolist() == [True, False, False], "all are of class a"
