"""The formats by name. A module of its own and one line here add a format."""

from importlib import import_module
from typing import cast

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Format

FORMATS = {
    "csv": "csv_table",
    "coco": "coco",
    "yolo": "yolo",
    "voc": "voc",
    "folders": "class_folders",
    "cvat": "cvat",
    "label-studio": "label_studio",
}


def format_named(name: str) -> Format:
    """Return a format.

    Raises:
        InvalidRequestError: no format has this name.
    """
    if name not in FORMATS:
        raise InvalidRequestError(
            f"There is no format {name!r}: choose one of {', '.join(FORMATS)}."
        )
    return cast("Format", import_module(f"visionops_assets.formats.{FORMATS[name]}"))
