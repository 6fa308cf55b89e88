"""`visionops datasets`, by a catalog and a store that a test plays."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.resources.test_snapshot_diff import AFTER, BEFORE
from visionops_assets.catalog import connection, frame_places
from visionops_assets.catalog import datasets as queries
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.cli import app
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.resources import object_store, snapshot_files, snapshot_reading
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.vision.places import Places

SPEC = PreprocessingSpec(size_px=21)


def snapshot(name: str, spec_id: str = "pp-1") -> Snapshot:
    return Snapshot(
        snapshot_id=name,
        model_name="classifier",
        watermark=datetime(2026, 1, 31, tzinfo=UTC),
        spec_id=spec_id,
        spec=SPEC.model_dump(mode="json"),
        classes=["bus", "car"],
        train_frames=3,
        holdout_frames=1,
        left_out_frames=0,
        object_prefix="snapshots",
    )


class NoCatalog:
    """Opens transactions that know no row."""

    @contextmanager
    def begin(self) -> Iterator["NoCatalog"]:
        yield self

    def expunge(self, _: object) -> None: ...


class Whereabouts:
    """Knows where all frames but the fourth lie."""

    def __init__(self, _catalog: object) -> None: ...

    def find(self, frame_ids: list[str]) -> Places:
        places = Places.nowhere(len(frame_ids))
        places.shard[[each != "4" for each in frame_ids]] = 0
        return places


def pixels(_store: object, _id: str, chosen: pd.DataFrame, places: Whereabouts) -> SnapshotFiles:
    assert set(chosen["size_px"]) == {21}
    known = places.find(chosen["frame_id"].tolist()).is_known
    members = chosen[known].reset_index(drop=True)
    return SnapshotFiles(np.full((len(members), 21, 21, 3), 99, np.uint8), members)


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"a": snapshot("a"), "b": snapshot("b"), "c": snapshot("c", "pp-2")}
    members = {"a": BEFORE, "b": AFTER, "c": BEFORE}
    monkeypatch.setattr(connection, "Catalog", NoCatalog)
    monkeypatch.setattr(queries, "find_snapshot", lambda _, name: found.get(name))
    monkeypatch.setattr(queries, "snapshots_newest_first", lambda _s, _m: [found["b"], found["a"]])
    monkeypatch.setattr(object_store, "ObjectStore", lambda: None)
    monkeypatch.setattr(snapshot_files, "read_members", lambda _, name: members[name])
    monkeypatch.setattr(snapshot_reading, "with_pixels", pixels)
    monkeypatch.setattr(frame_places, "FramePlaces", Whereabouts)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["datasets", *map(str, words)])
    assert result.exit_code == 0, result.exception
    return result.stdout


def facts(*words: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*words, "--json").splitlines()]


def test_snapshots_are_listed_and_one_is_shown() -> None:
    assert [each["snapshot_id"] for each in facts("ls")] == ["b", "a"]
    assert "spec" not in facts("ls")[0]
    assert "labels until" in run("ls", "--model", "classifier")
    [fact] = facts("show", "a")
    assert (fact["media"], fact["groups"]) == (3, 3)
    assert [each["label"] for each in fact["by_label"]] == ["car", "van"]
    said = run("show", "a")
    assert "3 frames for training and 1 in the holdout, of 3 files in 3 groups." in said


def test_two_snapshots_are_compared() -> None:
    [fact] = facts("diff", "a", "b", "--limit", 1)
    assert [fact[name] for name in ("came", "went", "relabelled", "moved", "same", "drawn")] == [
        *(1, 1, 1, 2, 1, 0)
    ]
    assert [each["change"] for each in fact["frames"]] == ["came", "went", "relabelled", "moved"]
    said = run("diff", "a", "b")
    assert "From a to b: 1 frames came, 1 went, 1 have another label, 2 another side" in said
    assert "van -> car" in said
    assert "specs differ" not in said
    assert "specs differ" in run("diff", "a", "c")
    assert "0 frames came" in run("diff", "a", "a")


def test_frames_that_differ_are_drawn(tmp_path: Path) -> None:
    file = tmp_path / "diff.png"
    [fact] = facts("diff", "a", "b", "--montage", file)
    # The fourth is forgotten.
    assert fact["drawn"] == 4
    assert cv2.imread(str(file)) is not None
    assert "There is none to draw." in run("diff", "a", "a", "--montage", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "z"], "There is no snapshot 'z'. `visionops datasets ls` lists them."),
        (["diff", "a", "z"], "There is no snapshot 'z'."),
        (["diff", "a", "b", "--montage", "nowhere/at/all.png"], "is no folder: name another file"),
    ],
)
def test_a_wrong_name_is_told(words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["datasets", *words])
    assert said in str(result.exception)
