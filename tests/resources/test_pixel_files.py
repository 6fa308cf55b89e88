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
    empty_images,
    open_images,
    save_images,
    scratch_file,
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
        save_images(path, IMAGES)
        images = open_images(path)
    assert files(home) == []
    np.testing.assert_array_equal(images, IMAGES)
    empty = empty_images(3, 4)
    empty[1] = IMAGES[0]
    assert files(home) == []
    np.testing.assert_array_equal(empty, np.stack([0 * IMAGES[0], IMAGES[0], 0 * IMAGES[0]]))


def test_the_file_is_that_of_numpy(tmp_path: Path) -> None:
    save_images(tmp_path / "ours.npy", IMAGES)
    np.save(tmp_path / "theirs.npy", IMAGES)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(NoRoomError, match=r"scratch is full.*VISIONOPS_HOME"):
        empty_images(10, 4)
    with pytest.raises(NoRoomError), scratch_file("images.npy") as path:
        save_images(path, IMAGES)
    assert files(home) == []


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
