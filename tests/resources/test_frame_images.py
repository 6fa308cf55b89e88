"""Frames of shards as images: each read once while there is room, and never a wrong one."""

import gc
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionops_assets.errors import NoRoomError
from visionops_assets.resources import frame_images
from visionops_assets.resources.frame_images import FrameImages
from visionops_assets.settings import load_settings
from visionops_assets.vision.preprocessing import encode_frame

SIDE_PX = 4


class Source:
    """Frames whose pixels are their rows; `read` notes what is asked of it."""

    def __init__(self, count: int) -> None:
        self.images = np.empty((count, SIDE_PX, SIDE_PX, 3), np.uint8)
        self.images[:] = (np.arange(count) % 251).astype(np.uint8)[:, None, None, None]
        self.asked: list[int] = []
        self._lock = threading.Lock()

    def read(self, rows: np.ndarray) -> list[bytes]:
        with self._lock:
            self.asked += rows.tolist()
        return [encode_frame(self.images[row]) for row in rows]


def opened(source: Source, kept: int | None, monkeypatch: pytest.MonkeyPatch) -> FrameImages:
    """Open the images with room for some of them."""
    count = len(source.images)
    room = (count if kept is None else kept) * SIDE_PX**2 * 3
    monkeypatch.setenv("VISIONOPS_FRAME_CACHE_BYTES", str(room))
    load_settings.cache_clear()
    return FrameImages(source.read, count, SIDE_PX)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    return tmp_path


def test_indexes_are_those_of_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(300)
    images = opened(source, None, monkeypatch)
    assert len(images) == 300
    chosen: Any
    for chosen in (0, -1, np.int64(7), slice(3, 200, 7), np.array([5, 5, 299, 0])):
        np.testing.assert_array_equal(images[chosen], source.images[chosen])
    assert len(source.asked) == len(set(source.asked)), "what is kept is not read again"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 199), min_size=1, max_size=40), max_size=20), st.data())
def test_whatever_is_pushed_out_the_right_frames_come(
    batches: list[list[int]], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_images, "LEAST_KEPT", 48)
        patch.setattr(frame_images, "LOADED_AT_ONCE", 8)
        patch.setattr(frame_images, "MAX_THREADS", 2)
        source = Source(200)
        images = opened(source, 48, patch)
        for batch in batches:
            if data.draw(st.booleans()):
                images.prefetch(np.array(data.draw(st.lists(st.integers(0, 199))), np.int64))
            rows = np.array(batch)
            np.testing.assert_array_equal(images[rows], source.images[rows])
        assert len(images[:]) == 200


def test_what_is_fetched_ahead_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(500)
    images = opened(source, None, monkeypatch)
    images.prefetch(np.arange(500))
    np.testing.assert_array_equal(images[:], source.images)
    assert sorted(source.asked) == list(range(500))


def test_frames_that_cannot_be_read_are_told_by_who_needs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source(10)

    def read(rows: np.ndarray) -> list[bytes]:
        if 3 in rows:
            raise ValueError("row 3")
        return source.read(rows)

    monkeypatch.setattr(frame_images, "LOADED_AT_ONCE", 1)
    monkeypatch.setenv("VISIONOPS_FRAME_CACHE_BYTES", "100000")
    load_settings.cache_clear()
    images = FrameImages(read, 10, SIDE_PX)
    images.prefetch(np.arange(10))
    with pytest.raises(ValueError, match="row 3"):
        images[:]
    np.testing.assert_array_equal(images[4:], source.images[4:])


def test_the_disk_is_used_within_the_setting_and_left_clean(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    source = Source(3_000)
    images = opened(source, 1_500, monkeypatch)
    for start in range(0, 3_000, 100):
        images[start : start + 100]
    assert os.fstat(images._file).st_size <= 1_500 * SIDE_PX**2 * 3
    assert [path for path in (home / "scratch").rglob("*") if path.is_file()] == []
    held = images._file
    del images
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(held)


def test_too_little_room_is_told_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(3_000)
    with pytest.raises(NoRoomError, match=r"room for 10 frames of 4 px .* for 1,024"):
        opened(source, 10, monkeypatch)
    assert source.asked == []
