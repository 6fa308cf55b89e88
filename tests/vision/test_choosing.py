"""Which frames of a video are taken: by time, by number, by key frames, by change, and how many."""

from collections.abc import Sequence

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.preprocessing import (
    EveryNth,
    KeyFrames,
    SceneChanges,
    VideoSampling,
)
from visionops_assets.vision.choosing import choice_of, evenly


def plain(level: int = 0) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((48, 64), level, np.uint8), format="gray8")


def taken(levels: Sequence[int], sampling: VideoSampling | None, step_s: float = 0.1) -> list[int]:
    """Return the places of the frames that are taken of plain ones with these levels."""
    choice = choice_of(PreprocessingSpec(video_sampling=sampling))
    frames = [plain(level) for level in levels]
    return [i for i, frame in enumerate(frames) if choice(i * step_s, frame)]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30), st.integers(1, 60))
def test_by_time_there_is_one_frame_per_interval_that_has_any(
    gaps: list[int], hundredths: int
) -> None:
    times = [sum(gaps[: i + 1]) / 100 for i in range(len(gaps))]
    interval_s = hundredths / 100
    choice = choice_of(PreprocessingSpec(video_sample_interval_s=interval_s))
    frame = plain()
    intervals = [round(t * 100) // hundredths for t in times if choice(t, frame)]
    assert intervals == sorted(set(intervals))
    assert set(intervals) == {round(t * 100) // hundredths for t in times}


@pytest.mark.parametrize(("n", "places"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (9, [0])])
def test_every_nth_frame(n: int, places: list[int]) -> None:
    assert taken([0] * 5, EveryNth(n=n)) == places


def test_two_videos_are_counted_apart() -> None:
    spec = PreprocessingSpec(video_sampling=EveryNth(n=3))
    first, second = choice_of(spec), choice_of(spec)
    frame = plain()
    assert [first(0, frame), first(0, frame), second(0, frame)] == [True, False, True]


def test_scenes_change_at_once_or_slowly() -> None:
    threshold = SceneChanges(threshold=0.1)
    assert taken([50, 50, 52, 200, 200, 50], threshold) == [0, 3, 5]
    # Each step is 4 of 255 levels: seven of them are more than a tenth.
    assert taken(list(range(0, 100, 4)), threshold) == [0, 7, 14, 21]
    assert taken([50, 50, 52, 200], SceneChanges(threshold=0.6)) == [0]


def test_key_frames() -> None:
    class Frame:
        def __init__(self, *, key_frame: bool) -> None:
            self.key_frame = key_frame

    choice = choice_of(PreprocessingSpec(video_sampling=KeyFrames()))
    frames = [Frame(key_frame=is_key) for is_key in (True, False, False, True)]
    assert [choice(0, frame) for frame in frames] == [True, False, False, True]  # type: ignore[arg-type]


@given(st.integers(0, 300), st.integers(1, 40))
def test_at_most_so_many_are_kept_and_they_are_evenly_spread(items: int, most: int) -> None:
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return item

    kept = evenly(range(items), most, make)
    assert len(kept) <= most
    assert len(kept) >= min(items, most) / 2
    assert kept[:1] == [0][:items]
    assert len(set(np.diff(kept))) <= 1
    if items <= most:
        assert kept == list(range(items))
    # Of a long video few frames are made that are thrown away.
    assert len(made) <= most * (2 + max(0, items // most).bit_length())
