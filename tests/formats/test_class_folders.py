"""Folders of classes."""

from pathlib import Path

import pytest

from tests.formats.reading import read
from visionops_assets.errors import InvalidRequestError


def test_the_folder_of_a_picture_is_its_label(tmp_path: Path) -> None:
    for name in ("train/car/1.jpg", "van/2.PNG", "3.jpg", "van/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    entries, bad = read("folders", tmp_path)
    assert {name: each.labels for name, each in entries.items()} == {
        "train/car/1.jpg": ("car",),
        "van/2.PNG": ("van",),
    }
    assert entries["van/2.PNG"].picture == tmp_path / "van/2.PNG"
    assert bad == {"3.jpg": "It lies in no folder of a class."}
    with pytest.raises(InvalidRequestError, match="a folder of pictures per class"):
        read("folders", tmp_path / "3.jpg")
