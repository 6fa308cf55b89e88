"""Who is in a snapshot, on which side, under which id, and when one is cut."""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.defined import check_of
from visionops_assets.catalog.datasets import LabelBacklog
from visionops_assets.catalog.labels import VOLUNTEERED
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import SnapshotError
from visionops_assets.models.sections import Snapshots
from visionops_assets.resources.snapshot_files import HOLDOUT, TRAIN
from visionops_assets.stages.datasets.contradictions import contradicted
from visionops_assets.stages.datasets.members import (
    _commonest_of_groups,
    _known_sides,
    assign_splits,
    barred_from_holdout,
    classes_of,
    classes_short_of_holdout,
    groups_on_both_sides,
    is_sound,
    only_whole,
    showing,
    snapshot_id_of,
    stray_classes,
    what_is_missing,
)
from visionops_assets.stages.datasets.readiness import why_wait

TASK = "classification"
START = datetime(2026, 1, 1, tzinfo=UTC)


def labelled(media: list[tuple[int, str, int]]) -> pd.DataFrame:
    """Frames of media given as (look, label, frame count); equal looks are near duplicates."""
    rows = [
        {
            "frame_id": str(UUID(int=1000 * number + index)),
            "media_id": str(UUID(int=number)),
            "frame_index": index,
            "perceptual_hash": f"{look + 1:016x}",
            "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
            "received_at": pd.Timestamp(START + timedelta(seconds=number)),
            "label": label,
        }
        for number, (look, label, frames) in enumerate(media)
        for index in range(frames)
    ]
    return pd.DataFrame(rows)


media_lists = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from("abc"), st.integers(1, 3)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(media=media_lists, percent=st.integers(1, 99))
def test_no_group_is_on_both_sides_and_looks_stay_together(
    media: list[tuple[int, str, int]], percent: int
) -> None:
    frames = labelled(media)
    members = assign_splits(frames, TASK, percent)
    assert groups_on_both_sides(members) == []
    assert len(members) == len(frames)
    by_look = frames.merge(members, on="frame_id").groupby("perceptual_hash")["split"].nunique()
    assert (by_look == 1).all()


@settings(deadline=None)
@given(media=media_lists, seed=st.integers(0, 100))
def test_snapshot_id_ignores_row_order_and_sees_every_label(
    media: list[tuple[int, str, int]], seed: int
) -> None:
    frames = labelled(media)
    spec = PreprocessingSpec()
    snapshot_id = snapshot_id_of(assign_splits(frames, TASK, 20), spec, "m")
    shuffled = frames.sample(frac=1, random_state=seed)
    assert snapshot_id_of(assign_splits(shuffled, TASK, 20), spec, "m") == snapshot_id
    relabelled = frames.assign(label=["z", *frames["label"][1:]])
    assert snapshot_id_of(assign_splits(relabelled, TASK, 20), spec, "m") != snapshot_id
    other_spec = PreprocessingSpec(size_px=32)
    assert snapshot_id_of(assign_splits(frames, TASK, 20), other_spec, "m") != snapshot_id
    assert snapshot_id_of(assign_splits(frames, TASK, 20), spec, "n") != snapshot_id


def test_a_new_class_is_stray_until_it_can_be_judged_and_a_known_one_never_is() -> None:
    members = pd.DataFrame(
        {
            "label": ["a"] * 4 + ["b"] * 4 + ["typo"] + ["old"],
            "split": ["train", "train", "holdout", "holdout"] * 2 + ["train"] * 2,
        }
    )
    assert stray_classes(members, TASK, ["a", "old"], 2) == ["typo"]
    assert stray_classes(members, TASK, ["a", "old"], 3) == ["b", "typo"]
    assert stray_classes(members, TASK, [], 2) == ["old", "typo"]
    assert stray_classes(members, TASK, [], 3) == []


@given(
    media=media_lists,
    percent=st.integers(1, 99),
    told=st.sets(st.integers(0, 24)),
    alone=st.sampled_from(["volunteered", "selection", "conflicts"]),
)
def test_labels_of_what_was_chosen_train_and_never_judge(
    media: list[tuple[int, str, int]], percent: int, told: set[int], alone: str
) -> None:
    frames = labelled(media)
    numbers = frames["media_id"].map(lambda media_id: UUID(media_id).int)
    frames["origin"] = numbers.isin(told).map({True: alone, False: "upload"})
    members = assign_splits(frames, TASK, percent)
    barred = barred_from_holdout(frames.sort_values("frame_id"), members)
    kept = members[~barred].merge(frames[["frame_id", "origin"]], on="frame_id")
    assert set(kept.loc[kept["origin"] == alone, "split"]) <= {TRAIN}
    assert groups_on_both_sides(members) == []
    groups = kept.groupby("group_id")["origin"].agg(set)
    assert barred.sum() == sum(
        member.split == HOLDOUT
        for member, origin in zip(
            members.itertuples(), frames.sort_values("frame_id")["origin"], strict=True
        )
        if origin == alone
    )
    assert len(groups) == members["group_id"].nunique()
    if not told:
        assert members.equals(assign_splits(frames.drop(columns="origin"), TASK, percent))


def test_what_was_in_the_holdout_before_stays_there_and_its_volunteered_copies_are_left_out() -> (
    None
):
    frames = labelled([(0, "a", 1), (0, "a", 1), (1, "b", 1)])
    frames["origin"] = ["feedback", VOLUNTEERED, VOLUNTEERED]
    known = {str(UUID(int=0)): HOLDOUT}
    members = assign_splits(frames, TASK, 50, known)
    assert members["split"].tolist() == [HOLDOUT, HOLDOUT, TRAIN]
    assert barred_from_holdout(frames, members).tolist() == [False, True, False]


def test_contradicted_labels_are_told_of_the_frames_of_a_snapshot_and_no_others() -> None:
    frames = labelled([(0, "a", 2), (1, "b", 1), (2, "b", 1)])
    members = assign_splits(frames[frames["media_id"] != str(UUID(int=2))], TASK, 20)
    check = cast("Callable[..., dg.AssetCheckResult]", check_of("labels_contradict_nowhere"))
    assert check(members, frames).passed, "a table of a version before"
    said = frames.assign(contradicted_by=["b (ann)", "b (ann)", "", "a (ann)"])
    found = contradicted(members, said)
    assert found.to_dict("records") == [
        {"media_id": str(UUID(int=0)), "label": "a", "contradicted_by": "b (ann)", "frames": 2}
    ]
    result = check(members, said)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "2 frame(s) contradict each other, in 1 file(s)" in str(result.description)
    assert check(members, said.assign(contradicted_by="")).passed


def test_leaks_and_short_classes_are_found() -> None:
    members = pd.DataFrame(
        {
            "group_id": ["g", "g", "h", "i", "j"],
            "label": ["a", "a", "b", "b", "c"],
            "split": ["train", "holdout", "train", "train", "holdout"],
        }
    )
    assert groups_on_both_sides(members) == ["g"]
    assert classes_short_of_holdout(members, TASK, minimum=1) == {"b": 0, "c": 1}


@pytest.mark.parametrize(
    ("sides", "is_sound_"),
    [
        ({"a": "th", "b": "th"}, True),
        ({"a": "th", "b": "tt"}, False),  # nothing of b to judge by
        ({"a": "th", "b": "hh"}, False),  # nothing of b to learn from
    ],
)
def test_a_snapshot_is_sound_where_each_class_is_on_both_sides(
    sides: dict[str, str], is_sound_: bool
) -> None:
    members = pd.DataFrame(
        [(f"{label}{n}", label, {"t": "train", "h": "holdout"}[side])
         for label, both in sides.items() for n, side in enumerate(both)],
        columns=["group_id", "label", "split"],
    )  # fmt: skip
    assert is_sound(members, TASK, 1) is is_sound_
    assert not is_sound(members.assign(group_id="one"), TASK, 1), "a group is on both sides"
    assert not is_sound(members, TASK, 2)


@pytest.mark.parametrize(("least", "percent", "groups"), [(5, 20, 25), (5, 30, 17), (1, 50, 2)])
def test_the_groups_that_a_class_needs_fill_its_holdout(
    least: int, percent: int, groups: int
) -> None:
    asked = Snapshots(min_holdout_per_class=least, holdout_percent=percent)
    assert asked.groups_per_class == groups


def test_a_group_has_the_label_of_most_of_its_frames() -> None:
    """By it the holdout is filled up class by class; of equally many, the first in the alphabet."""
    frames = labelled([(look, label, 1) for look in range(10) for label in ("b", "a", "b")])
    even = labelled([(look, label, 1) for look in range(10) for label in ("b", "a")])
    for media, expected in ((frames, "b"), (even, "a")):
        members = assign_splits(media, TASK, 50)
        assert set(_commonest_of_groups(members["group_id"], list(members["label"])).values()) == {
            expected
        }


def test_sides_in_the_snapshot_before_stay_and_new_groups_fill_up() -> None:
    before = assign_splits(labelled([(look, "a", 1) for look in range(40)]), TASK, 20)
    known = dict(zip(before["media_id"], before["split"], strict=True))
    grown = labelled([(look, "a", 1) for look in range(100)])
    after = assign_splits(grown, TASK, 20, known).set_index("media_id")["split"]
    assert after[list(known)].to_dict() == known
    assert (before["split"] == "holdout").sum() == 8
    assert (after == "holdout").sum() == 20


def test_what_was_trained_on_never_enters_the_holdout() -> None:
    """A medium of each side becomes one group, by a third that looks like both."""
    before = assign_splits(labelled([(look, "a", 1) for look in range(10)]), TASK, 20)
    known = dict(zip(before["media_id"], before["split"], strict=True))
    of_side = before.groupby("split")["media_id"].first()
    looks = [UUID(of_side[side]).int for side in ("train", "holdout")]
    frames = labelled([(look, "a", 1) for look in range(10)] + [(looks[0], "a", 2)])
    frames.loc[frames.index[-1], "perceptual_hash"] = f"{looks[1] + 1:016x}"
    after = assign_splits(frames, TASK, 20, known)
    together = after[after["media_id"].isin([*of_side, str(UUID(int=10))])]
    assert together["group_id"].nunique() == 1
    assert set(together["split"]) == {"train"}


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"cat": 30, "dog": 30}, None),
        ({"cat": 30, "dog": 30, "typo": 1}, None),
        ({"cat": 30, "dog": 7}, "2 classes or more need about 25 groups each .*: dog has 7"),
        ({"cat": 3, "dog": 7}, "cat has 3, dog has 7"),
        ({"cat": 300}, "there is no second class yet"),
    ],
)
def test_what_is_missing_for_a_first_snapshot_is_said_by_class(
    counts: dict[str, int], told: str | None
) -> None:
    names = [name for name, count in counts.items() for _ in range(count)]
    media = [(look, name, 1) for look, name in enumerate(names)]
    members = assign_splits(labelled(media), TASK, 20)
    said = what_is_missing(members, TASK, 5, Snapshots().groups_per_class)
    if told is None:
        assert said is None
    else:
        assert said is not None
        assert re.search(told, said)


DECLARED = Snapshots(
    min_new_labels=500,
    max_wait_s=600,
    pause_s=20,
    min_new_share=0.1,
)


def backlog(
    new_frames: int,
    *,
    waiting: int = 0,
    oldest_s: float = 0.0,
    newest_s: float = 0.0,
    snapshot_frames: int = 0,
) -> LabelBacklog:
    return LabelBacklog(START, new_frames, oldest_s, newest_s, waiting, snapshot_frames)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (backlog(500), None),
        (backlog(500, waiting=1, oldest_s=599), "on their way"),
        (backlog(500, waiting=1, oldest_s=600), None),
        (backlog(500, waiting=3), "3 media files are on their way"),
        (backlog(499), "no label has come for 20 s"),
        (backlog(499, newest_s=19), "no label has come"),
        (backlog(499, newest_s=20), None),
        (backlog(1, newest_s=20), None),
        (backlog(1, newest_s=20, waiting=1), "on their way"),
        (backlog(1), "1 newly labelled frame: they make a snapshot when no label"),
        (backlog(0, newest_s=10_000), "0 newly labelled frames: 1 make a snapshot once"),
        (backlog(499, newest_s=99, snapshot_frames=9_999), "500 make a snapshot once"),
        (backlog(59, newest_s=99, snapshot_frames=600), "60 make a snapshot once labels pause"),
        (backlog(60, newest_s=99, snapshot_frames=600), None),
        (backlog(60, newest_s=9, snapshot_frames=600), "no label has come"),
        (backlog(500, snapshot_frames=100_000), None),
    ],
)
def test_a_snapshot_waits_for_labels_for_a_pause_and_for_the_backlog(
    found: LabelBacklog, told: str | None
) -> None:
    said = why_wait(found, DECLARED)
    assert said is None if told is None else told in str(said)


@pytest.mark.parametrize(
    ("found", "waits"), [(backlog(0), True), (backlog(1), False), (backlog(1, waiting=1), False)]
)
def test_a_snapshot_to_retrain_on_waits_for_a_new_frame_alone(
    found: LabelBacklog, waits: bool
) -> None:
    assert (why_wait(found, DECLARED, is_retraining=True) is not None) == waits


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (backlog(144, newest_s=20), "144 newly labelled frames: the retrain arbiter is about to"),
        (backlog(500, oldest_s=599), "is about to decide"),
        (backlog(500, oldest_s=600), None),
    ],
)
def test_frames_that_the_arbiter_is_about_to_decide_by_are_left_to_it_for_a_time(
    found: LabelBacklog, told: str | None
) -> None:
    said = why_wait(found, DECLARED, is_arbiters=True)
    assert said is None if told is None else told in str(said)


def test_frames_that_the_arbiter_counted_make_a_snapshot_once_it_has_decided() -> None:
    assert why_wait(backlog(144), DECLARED, is_retraining=True, is_arbiters=True) is None


def test_the_id_of_a_snapshot_does_not_change_between_releases() -> None:
    """It is a hash of a table of members, by their ids, behind that of the spec."""
    spec = PreprocessingSpec(size_px=64)
    columns = {
        "frame_id": ["f2", "f1"],
        "group_id": ["g2", "g1"],
        "label": ["b", "a"],
        "split": ["train", "holdout"],
        "look": [1, 2],
    }
    content = f"{spec.spec_id}\nframe_id,group_id,label,split\nf1,g1,a,holdout\nf2,g2,b,train\n"
    expected = "ds-" + hashlib.sha256(content.encode()).hexdigest()[:16]
    assert (
        snapshot_id_of(pd.DataFrame(columns), spec, "classifier")
        == expected
        == "ds-57a52d308257e3f4"
    )


@pytest.mark.parametrize("sides", [("train", "holdout"), ("holdout", "train")])
def test_a_group_of_both_sides_is_of_training_whichever_comes_first(
    sides: tuple[str, str],
) -> None:
    known = dict(zip(("m1", "m2"), sides, strict=True))
    groups = {"m1": "g", "m2": "g", "m3": "new"}
    assert _known_sides(groups, known) == {"g": False}
    assert _known_sides(groups, dict.fromkeys(known, "holdout")) == {"g": True}


def test_a_second_class_is_asked_for_only_where_there_is_none() -> None:
    for names, is_told in ((["cat"] * 9, True), (["cat"] * 9 + ["dog"], False)):
        media = [(look, name, 1) for look, name in enumerate(names)]
        said = what_is_missing(assign_splits(labelled(media), TASK, 20), TASK, 5, 25)
        assert said is not None
        assert ("there is no second class yet" in said) == is_told


SETS = "multilabel"


def test_sets_are_in_the_holdout_by_the_rarest_class_that_they_show() -> None:
    """A class of 20 groups has four of them there, though it is seen with others alone."""
    media = [(look, ("a, b" if look % 2 else "a"), 1) for look in range(100)]
    media += [(100 + look, f"a, {'b, ' * (look % 2)}rare", 1) for look in range(20)]
    media += [(120 + look, "", 1) for look in range(30)]
    members = assign_splits(labelled(media), SETS, 20)
    held = members[members["split"] == "holdout"]
    assert classes_of(members, SETS) == ["a", "b", "rare"]
    assert showing(held, ["rare"], SETS).sum() == 4
    assert (held["label"] == "").sum() == 6
    assert classes_short_of_holdout(members, SETS, 4) == {}
    assert classes_short_of_holdout(members, SETS, 5) == {"rare": 4}
    assert stray_classes(members, SETS, ["a", "b"], 5) == ["rare"]
    assert stray_classes(members, SETS, ["a", "rare"], 5) == []


def test_a_thing_that_all_frames_show_cannot_be_learned() -> None:
    media = [(look, ("a, b" if look % 2 else "b"), 1) for look in range(60)]
    members = assign_splits(labelled(media), SETS, 20)
    assert list(classes_short_of_holdout(members, SETS, 1)) == ["b"]
    said = what_is_missing(members, SETS, 1, 25)
    assert said is not None
    assert "b has 60" in said


def test_classes_of_sets_may_not_be_lost_with_a_shard() -> None:
    frames = labelled([(0, "a, b", 1), (1, "a", 1)])
    with pytest.raises(SnapshotError, match="All frames of b lie in damaged shards"):
        only_whole(frames, frames["label"] == "a", ["a", "b"], SETS)
    assert len(only_whole(frames, frames["label"] == "a", ["a"], SETS)) == 1
