"""How two snapshots differ, by rows that are made here."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.resources.snapshot_diff import COLUMNS, compare, summary

Row = tuple[str, str, str, str]


def members(rows: Sequence[Row]) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.assign(group_id=found["media_id"], label_index=0)


BEFORE = members(
    [
        ("1", "a", "car", "train"),
        ("2", "a", "car", "holdout"),
        ("3", "b", "van", "train"),
        ("4", "c", "van", "train"),
    ]
)
AFTER = members(
    [
        ("5", "d", "bus", "train"),
        ("3", "b", "car", "holdout"),
        ("2", "a", "car", "train"),
        ("1", "a", "car", "train"),
    ]
)


def test_what_came_went_and_changed_its_label_or_side() -> None:
    found = compare(BEFORE, AFTER)
    assert found.counts == {
        "came": 1,
        "went": 1,
        "relabelled": 1,
        "moved": 2,
        "same": 1,
        "came_by_label": {"bus": 1},
        "went_by_label": {"van": 1},
        "relabelled_by_labels": {"van -> car": 1},
        "moved_by_sides": {"holdout -> train": 1, "train -> holdout": 1},
    }
    assert [(row["change"], row["frame_id"]) for row in found.samples(1)] == [
        ("came", "5"),
        ("went", "4"),
        ("relabelled", "3"),
        ("moved", "3"),
    ]
    [relabelled] = [row for row in found.samples(9) if row["change"] == "relabelled"]
    assert (relabelled["label_before"], relabelled["label"]) == ("van", "car")
    assert found.samples(0) == []


def test_a_snapshot_differs_in_nothing_from_itself() -> None:
    found = compare(BEFORE, BEFORE.sample(frac=1, random_state=1))
    assert (found.same, found.samples(9)) == (4, [])
    nothing = compare(BEFORE[:0], BEFORE[:0])
    assert (nothing.same, nothing.samples(9), nothing.counts["came_by_label"]) == (0, [], {})


rows = st.lists(
    st.tuples(st.sampled_from("123456789"), *(st.sampled_from("ab"),) * 3),
    unique_by=lambda row: row[0],
)


@given(before=rows, after=rows)
def test_the_parts_are_those_of_sets(before: list[Row], after: list[Row]) -> None:
    found = compare(members(before), members(after))
    old, new = {row[0]: row for row in before}, {row[0]: row for row in after}
    both = old.keys() & new.keys()
    assert set(found.came["frame_id"]) == new.keys() - old.keys()
    assert set(found.went["frame_id"]) == old.keys() - new.keys()
    assert set(found.relabelled["frame_id"]) == {k for k in both if old[k][2] != new[k][2]}
    assert set(found.moved["frame_id"]) == {k for k in both if old[k][3] != new[k][3]}
    assert found.same == sum(old[k][2:] == new[k][2:] for k in both)


def test_a_snapshot_is_counted_per_label() -> None:
    assert summary(BEFORE) == [
        {"label": "car", "train": 1, "holdout": 1, "media": 1, "groups": 1},
        {"label": "van", "train": 2, "holdout": 0, "media": 2, "groups": 2},
    ]


def test_a_hundred_thousand_members_are_compared_at_once() -> None:
    ids = np.char.add("frame-", np.arange(110_000).astype(str))
    many = pd.DataFrame({"frame_id": ids, "media_id": ids, "label": "car", "split": "train"})
    started_s = time.monotonic()
    found = compare(many[:100_000], many[10_000:])
    assert time.monotonic() - started_s < 5
    assert (len(found.came), len(found.went), found.same) == (10_000, 10_000, 90_000)
