"""Pixels on the disk: nothing of them stays in memory or behind, and a full disk is told."""

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from visionops_assets.errors import NoRoomError
from visionops_assets.resources.pixel_files import (
    FORGOTTEN_AFTER_S,
    open_images,
    scratch_file,
    told_if_full,
)

IMAGES = np.random.default_rng(0).integers(0, 255, (700, 4, 4, 3), np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_images_stay_readable_when_their_file_is_gone(home: Path) -> None:
    with scratch_file("images.npy") as path:
        np.save(path, IMAGES)
        images = open_images(path)
    assert files(home) == []
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_nothing_is_left(home: Path, number: int) -> None:
    said = pytest.raises(NoRoomError, match=r"scratch is full.*VISIONOPS_HOME")
    with said, scratch_file("images.npy") as path:
        path.write_bytes(b"some")
        raise OSError(number, os.strerror(number))
    assert files(home) == []
    with said, told_if_full(home / "scratch"):
        raise OSError(number, os.strerror(number))


def test_other_errors_are_not_taken_for_a_full_disk() -> None:
    with pytest.raises(PermissionError), scratch_file("images.npy"):
        raise PermissionError


def test_what_a_killed_process_left_is_removed_in_time(home: Path) -> None:
    old, fresh = (home / "scratch" / name / "images.npy" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"left")
    ago = time.time() - FORGOTTEN_AFTER_S - 60
    os.utime(old, (ago, ago))
    with scratch_file("images.npy"):
        pass
    assert files(home) == [fresh]
    assert not old.parent.exists()
