"""What a snapshot says in Dagster about the one before."""

from dataclasses import replace
from typing import Any

import dagster as dg

from tests.resources.memory_store import MemoryStore
from tests.resources.test_snapshot_diff import AFTER, BEFORE
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.resources.snapshot_files import write_snapshot
from visionops_assets.stages.datasets.assets import _changes
from visionops_assets.stages.datasets.cutting import Cut


def test_a_snapshot_is_compared_with_the_one_before() -> None:
    store: Any = MemoryStore()
    write_snapshot(store, "a", BEFORE)
    context: Any = dg.build_asset_context()
    cut = Cut(Snapshot(snapshot_id="b"), AFTER, [], {}, "a")
    found = _changes(context, cut, store)
    counts = [found[f"frames_{kind}"] for kind in ("came", "went", "relabelled", "moved")]
    assert counts == [1, 1, 1, 2]
    assert found["changes"].value["relabelled_by_labels"] == {"van -> car": 1}
    assert found["compare"] == "visionops datasets diff a b"


def test_one_that_cannot_be_compared_says_nothing() -> None:
    store: Any = MemoryStore()
    write_snapshot(store, "a", BEFORE)
    context: Any = dg.build_asset_context()
    cut = Cut(Snapshot(snapshot_id="b"), AFTER, [], {})
    for before in (None, "b", "gone"):
        assert _changes(context, replace(cut, before=before), store) == {}
    store["snapshots/a/members.parquet"] = b"altered"
    assert _changes(context, replace(cut, before="a"), store) == {}
