"""Who is in a snapshot, on which side, under which id, and when one is cut."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.catalog.datasets import LabelBacklog
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.settings import Settings
from visionops_assets.stages.datasets.members import (
    assign_splits,
    classes_short_of_holdout,
    groups_on_both_sides,
    snapshot_id_of,
    stray_classes,
)
from visionops_assets.stages.datasets.sensors import why_wait

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


@given(media=media_lists, percent=st.integers(1, 99))
def test_no_group_is_on_both_sides_and_looks_stay_together(
    media: list[tuple[int, str, int]], percent: int
) -> None:
    frames = labelled(media)
    members = assign_splits(frames, percent)
    assert groups_on_both_sides(members) == []
    assert len(members) == len(frames)
    by_look = frames.merge(members, on="frame_id").groupby("perceptual_hash")["split"].nunique()
    assert (by_look == 1).all()


@given(media=media_lists, seed=st.integers(0, 100))
def test_snapshot_id_ignores_row_order_and_sees_every_label(
    media: list[tuple[int, str, int]], seed: int
) -> None:
    frames = labelled(media)
    spec = PreprocessingSpec()
    snapshot_id = snapshot_id_of(assign_splits(frames, 20), spec)
    shuffled = frames.sample(frac=1, random_state=seed)
    assert snapshot_id_of(assign_splits(shuffled, 20), spec) == snapshot_id
    relabelled = frames.assign(label=["z", *frames["label"][1:]])
    assert snapshot_id_of(assign_splits(relabelled, 20), spec) != snapshot_id
    other_spec = PreprocessingSpec(size_px=32)
    assert snapshot_id_of(assign_splits(frames, 20), other_spec) != snapshot_id


def test_a_new_class_is_stray_until_it_can_be_judged_and_a_known_one_never_is() -> None:
    members = pd.DataFrame(
        {
            "label": ["a"] * 4 + ["b"] * 4 + ["typo"] + ["old"],
            "split": ["train", "train", "holdout", "holdout"] * 2 + ["train"] * 2,
        }
    )
    assert stray_classes(members, ["a", "old"], 2) == ["typo"]
    assert stray_classes(members, ["a", "old"], 3) == ["b", "typo"]
    assert stray_classes(members, [], 2) == ["old", "typo"]
    assert stray_classes(members, [], 3) == []


def test_leaks_and_short_classes_are_found() -> None:
    members = pd.DataFrame(
        {
            "group_id": ["g", "g", "h", "i", "j"],
            "label": ["a", "a", "b", "b", "c"],
            "split": ["train", "holdout", "train", "train", "holdout"],
        }
    )
    assert groups_on_both_sides(members) == ["g"]
    assert classes_short_of_holdout(members, minimum=1) == {"b": 0, "c": 1}


@pytest.mark.parametrize(
    ("new_frames", "waiting", "age_s", "waits"),
    [
        (499, 0, 0.0, True),
        (500, 0, 0.0, False),
        (500, 1, 599.0, True),
        (500, 1, 601.0, False),
        (0, 0, 10_000.0, True),
    ],
)
def test_a_snapshot_waits_for_labels_and_for_the_backlog(
    new_frames: int, waiting: int, age_s: float, waits: bool
) -> None:
    settings = Settings(snapshot_min_new_labels=500, snapshot_max_wait_s=600)
    backlog = LabelBacklog(START, new_frames, age_s, waiting)
    assert (why_wait(backlog, settings) is not None) == waits


@pytest.mark.parametrize(
    ("new_frames", "waiting", "age_s", "waits"),
    [
        (0, 0, 0.0, True),
        (1, 0, 0.0, False),
        (1, 1, 0.0, False),
    ],
)
def test_a_snapshot_to_retrain_on_waits_for_a_new_frame_alone(
    new_frames: int, waiting: int, age_s: float, waits: bool
) -> None:
    settings = Settings(snapshot_min_new_labels=500, snapshot_max_wait_s=600)
    backlog = LabelBacklog(START, new_frames, age_s, waiting)
    assert (why_wait(backlog, settings, is_retraining=True) is not None) == waits
