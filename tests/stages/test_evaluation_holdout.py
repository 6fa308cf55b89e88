"""Which frames judge a candidate beside the champion: those that neither was trained on."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from tests.stages.memory_store import MemoryStore
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import Candidate
from visionops_assets.errors import SnapshotError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.evaluation.answering import holdout_of
from visionops_assets.stages.snapshot_files import MEMBER_COLUMNS, SnapshotFiles, write_snapshot

CANDIDATE = Candidate(model_name="m", model_version=2, mlflow_run_id="r", snapshot_id="new")


class Store(MemoryStore):
    def exists(self, key: str) -> bool:
        return key in self


def store_with(**sides_by_snapshot: dict[str, str]) -> ObjectStore:
    """Return a store with snapshots, each given by the sides of its media; one frame per medium."""
    store = cast("ObjectStore", Store())
    for snapshot_id, sides in sides_by_snapshot.items():
        rows = [[f"f-{media}", media, media, "a", 0, side] for media, side in sides.items()]
        members = pd.DataFrame(rows, columns=MEMBER_COLUMNS)
        images = np.array([int(media) for media in sides], np.uint8)
        pixels = np.broadcast_to(images[:, None, None, None], (len(sides), 8, 8, 3))
        write_snapshot(store, snapshot_id, SnapshotFiles(np.ascontiguousarray(pixels), members))
    return store


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
    holdout = holdout_of(store, CANDIDATE, champion_of(champion) if champion else None)
    assert holdout.members["media_id"].tolist() == judged_by
    assert holdout.images[:, 0, 0, 0].tolist() == [int(media) for media in judged_by]


def test_where_the_champion_was_trained_on_all_there_is_nothing_to_judge_by() -> None:
    store = store_with(new=NEW, old=dict.fromkeys("234", "train"))
    with pytest.raises(SnapshotError, match="new has no holdout frame that the champion was not"):
        holdout_of(store, CANDIDATE, champion_of("old"))
