import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from visionops_assets.client.importing.folder import Folder

HOSTILE = [
    b"a\nb.png",
    b"\xff\xfe.png",
    b"-rf",
    b"\x1b[31m.png",
    "ä\u202e.png".encode(),
    b" ",
    b"%2e",
]


def paths_of(folder: Path) -> list[str]:
    return [item.path for item in Folder(folder).list_files().items]


def test_files_come_in_order_with_size_time_and_content(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a.png", "c/d/e/f.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    os.utime(tmp_path / "a.png", ns=(0, 1_500_000_000_000_000_001))
    folder = Folder(tmp_path)
    items = folder.list_files().items
    assert [item.path for item in items] == ["a.png", "b/1.png", "b/2.png", "c/d/e/f.png"]
    assert items[0].size_bytes == 5
    assert items[0].version == "1500000000000000001"
    assert items[0].modified_at == datetime.fromtimestamp(1_500_000_000, UTC)
    for item in items:
        assert b"".join(folder.open(item).chunks()) == item.path.encode()


def test_names_may_be_any_bytes(tmp_path: Path) -> None:
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    folder = Folder(tmp_path)
    items = folder.list_files().items
    assert [os.fsencode(item.path) for item in items] == sorted(HOSTILE)
    for item in items:
        assert b"".join(folder.open(item).chunks()) == os.fsencode(item.path)


def test_links_hidden_and_special_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("outside")
    root = tmp_path / "photos"
    (root / "real").mkdir(parents=True)
    (root / "real" / "a.png").write_text("a")
    (root / "real" / ".DS_Store").write_text("")
    (root / ".git").mkdir()
    (root / ".git" / "object").write_text("")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "file").symlink_to(tmp_path / "secret.txt")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe")
    listing = Folder(root).list_files()
    assert [item.path for item in listing.items] == ["real/a.png"]
    assert listing.left_out == {"hidden": 2, "symbolic link": 4, "no regular file": 1}


def test_the_folder_itself_may_be_a_link_or_hidden_or_a_file(tmp_path: Path) -> None:
    root = tmp_path / ".cache"
    root.mkdir()
    (root / "a.png").write_text("a")
    link = tmp_path / "link"
    link.symlink_to(root)
    assert paths_of(root) == paths_of(link) == paths_of(root / "a.png") == ["a.png"]
    assert Folder(link).address == Folder(root).address == str(root.resolve())


def test_a_folder_that_cannot_be_read_stops_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.png").write_text("b")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == tmp_path / "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = Folder(tmp_path).list_files()
    assert [item.path for item in listing.items] == ["b.png"]
    (failure,) = listing.failures
    assert (failure.path, failure.code, failure.detail) == ("a", "unreadable", "Permission denied")


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "nowhere")
