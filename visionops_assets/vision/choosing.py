"""Chooses the frames that are taken of a video. Runs inside the sandbox.

Videos are sampled by time unless the spec says otherwise, so that variable frame rates come out
right.
"""

import math
from collections.abc import Callable, Iterable
from itertools import count
from typing import TypeVar

import numpy as np
from av.video import VideoFrame

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.preprocessing import EveryNth, KeyFrames, SceneChanges

# Times are ratios of integers: a frame due at 2 s may come at 1.9999999.
TIME_TOLERANCE_S = 1e-6
THUMBNAIL_PX = 32

Choice = Callable[[float, VideoFrame], bool]
"""Says of each frame of one video, in their order and with its seconds, whether it is taken."""
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def choice_of(spec: PreprocessingSpec) -> Choice:
    """Return the choice that a spec asks for, for one video."""
    match spec.video_sampling:
        case EveryNth(n=n):
            places = count()
            return lambda _time_s, _frame: next(places) % n == 0
        case KeyFrames():
            return lambda _time_s, frame: bool(frame.key_frame)
        case SceneChanges(threshold=threshold):
            return _BySceneChange(threshold)
        case None:
            return _ByTime(spec.video_sample_interval_s)


def choice_alike(spec: PreprocessingSpec) -> object:
    """Return all of a spec that decides which frames of a video are taken, to compare specs by."""
    return (
        spec.video_sampling or spec.video_sample_interval_s,
        spec.max_frames_per_video,
        spec.deinterlace,
    )


def evenly(items: Iterable[_Item], most: int, make: Callable[[_Item], _Made]) -> list[_Made]:
    """Return what is made of up to `most` items, evenly spread over all, the first among them.

    Their number need not be known: whenever there is one too many, every second one goes, and half
    as many are taken from there on. So at least half of `most` are left where there are enough.
    """
    kept: list[_Made] = []
    step = 1
    for place, item in enumerate(items):
        if place % step:
            continue
        kept.append(make(item))
        if len(kept) > most:
            kept = kept[::2]
            step *= 2
    return kept


class _ByTime:
    """Takes the frame at or after each multiple of the interval, counted from the first frame."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_s = 0.0

    def __call__(self, time_s: float, _frame: VideoFrame) -> bool:
        if time_s < self._due_s - TIME_TOLERANCE_S:
            return False
        passed = math.floor((time_s + TIME_TOLERANCE_S) / self._interval_s)
        self._due_s = (passed + 1) * self._interval_s
        return True


class _BySceneChange:
    """Compares each frame with the last one taken, so that slow changes count as well as cuts."""

    def __init__(self, threshold: float) -> None:
        self._threshold_levels = 255 * threshold
        self._taken: np.ndarray | None = None

    def __call__(self, _time_s: float, frame: VideoFrame) -> bool:
        small = frame.reformat(width=THUMBNAIL_PX, height=THUMBNAIL_PX, format="gray8")
        thumbnail = small.to_ndarray().astype(np.int16)
        is_new = (
            self._taken is None
            or float(np.abs(thumbnail - self._taken).mean()) > self._threshold_levels
        )
        if is_new:
            self._taken = thumbnail
        return is_new
