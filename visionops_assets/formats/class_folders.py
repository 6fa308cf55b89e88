"""Folders of classes: the folder that a picture lies in is its label, `train/car/1.jpg` a car."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import folder, is_picture
from visionops_assets.formats.records import BadRow, Entry, Reading


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:  # noqa: ARG001 - as all do
    """Read a folder of folders. See `Format`."""
    root = folder(path, "a folder of pictures per class")
    for picture in sorted(each for each in root.rglob("*") if is_picture(each)):
        below = picture.relative_to(root)
        if len(below.parts) == 1:
            yield BadRow(str(below), "It lies in no folder of a class.")
        else:
            name, label = str(below), below.parent.name
            yield Entry(name, name, picture=picture, labels=(label,))


def write(path: Path, entries: Iterable[Entry]) -> NoReturn:  # noqa: ARG001 - as all do
    """Refuse: such folders are made of pictures.

    Raises:
        InvalidRequestError: always.
    """
    raise InvalidRequestError(
        "Folders of classes are made of pictures, and an export has labels alone: take csv."
    )
