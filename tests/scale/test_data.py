"""What the figures of many rows say, and which goals they miss."""

from typing import Any

import pytest

from tests.scale.data import figures_of, made_shard
from tests.scale.data_work import SIZE_PX
from tests.scale.lineage_rows import FRAME_BYTES, PER_BATCH, shard_keys
from visionops_assets.vision.preprocessing import decode_frame

STEPS: dict[str, dict[str, Any]] = {
    "labels": {"seconds": 40.0, "peak_mb": 1_500.0},
    "cut": {"seconds": 20.0, "peak_mb": 1_900.0, "members": 1_000},
    "load": {"seconds": 9.0, "peak_mb": 700.0, "frames": 64, "first_batch_s": 1.5},
    "trace": {"seconds": 9.0, "peak_mb": 90.0, "traces": 60, "slowest_s": 1.0, "slowest": "x"},
}


def test_a_snapshot_takes_the_time_of_both_steps_and_the_memory_of_the_larger() -> None:
    found = figures_of(1_000, STEPS)
    assert (found.frames, found.predictions) == (1_000, 2_000)
    assert (found.snapshot_s, found.snapshot_peak_mb) == (60.0, 1_900.0)
    assert (found.loader_peak_mb, found.trace_s_max, found.forget_s) == (700.0, 1.0, None)
    assert found.missed == []


@pytest.mark.parametrize(
    ("step", "changed", "goal"),
    [
        ("cut", {"seconds": 20.1}, "a snapshot in 60 s"),
        ("labels", {"peak_mb": 2_000.1}, "a snapshot in 2,000 MB"),
        ("load", {"peak_mb": 2_000.1}, "a loader in 2,000 MB"),
        ("trace", {"slowest_s": 1.001}, "each trace in 1 s"),
    ],
)
def test_each_goal_can_be_missed(step: str, changed: dict[str, float], goal: str) -> None:
    assert figures_of(1_000, STEPS | {step: STEPS[step] | changed}).missed == [goal]


def test_frames_are_read_from_the_made_shard_by_their_place() -> None:
    shard = made_shard()
    assert len(shard) == PER_BATCH * FRAME_BYTES
    image = decode_frame(shard[7 * FRAME_BYTES : 8 * FRAME_BYTES])
    assert image.shape == (SIZE_PX, SIZE_PX, 3)
    assert (image == 7).all()


def test_the_last_frame_has_a_shard_too() -> None:
    assert len(shard_keys(PER_BATCH)) == 2
    assert shard_keys(1)[-1] == "frames/made/0/made.tar"
