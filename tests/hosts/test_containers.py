"""Folders that a run needs on this machine are there while it runs, and gone afterwards."""

from pathlib import Path

from tests.hosts.containers import mount_points


def test_mount_points_are_made_and_removed(tmp_path: Path) -> None:
    there, used = tmp_path / "there", tmp_path / "used"
    there.mkdir()
    missing = tmp_path / "a" / "b"
    with mount_points([there, missing, used]):
        assert missing.is_dir()
        (used / "somebody's").touch()
    assert there.is_dir()
    assert not (tmp_path / "a").exists()
    assert used.is_dir()
