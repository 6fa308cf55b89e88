"""Pascal VOC: an XML per picture, in a folder or by itself, with boxes in pixels.

Tools differ on how pixels are counted. A box is taken from `xmin` up to `xmax`, exclusive, from 0;
a pixel too many is cut off. Where one has equal corners, its file counts from 1 and inclusively. Of
a part of an object (`part`) nothing is taken.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import MAX_SMALL_BYTES, fresh, picture_in, place_in
from visionops_assets.formats.records import (
    BadRow,
    Entry,
    LeftOut,
    Reading,
    RowError,
    of_pictures,
    rows_of,
)
from visionops_assets.formats.shares import box_of_px, corners_px, number_of, size_of
from visionops_assets.formats.xml_files import read_xml, text_of
from visionops_assets.tasks.annotations import Box

_Corners = tuple[float, float, float, float]
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read the XML files of a folder, or one. See `Format`."""
    files = sorted(path.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise InvalidRequestError(f"{path} has no XML file, and this format is one per picture.")
    parts = ((str(file.relative_to(path)) if path.is_dir() else file.name, file) for file in files)
    yield from rows_of(
        parts, lambda where, file: _entry(where, read_xml(file, MAX_SMALL_BYTES), reading)
    )


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write a folder with a file per picture. See `Format`."""
    left_out, root = LeftOut(), fresh(path)
    root.mkdir()
    for entry in of_pictures(entries, left_out, by_boxes=True, in_px=True):
        try:
            place = place_in(root, entry.title, ".xml")
        except RowError as error:
            left_out.add(entry, str(error))
            continue
        place.write_bytes(_document(entry.title, entry.boxes, entry.size_px or (0, 0)))
    return left_out


def _entry(where: str, document: Element, reading: Reading) -> Entry | None:
    """Return the boxes of a picture; None without one."""
    name = text_of(document, "filename")
    if document.tag != "annotation" or not name:
        raise RowError("It is no annotation with a filename.")
    size = document.find("size")
    size_px = size_of(text_of(size, "width"), text_of(size, "height"))
    corners = [_corners(number, each) for number, each in enumerate(document.findall("object"), 1)]
    is_inclusive = any(left == right or top == bottom for _, (left, top, right, bottom) in corners)
    boxes = tuple(
        _box(number, label, (left - is_inclusive, top - is_inclusive, right, bottom), size_px)
        for number, (label, (left, top, right, bottom)) in enumerate(corners, 1)
    )
    if not boxes:
        return None
    picture = picture_in(reading.images, name)
    return Entry(where, name, picture=picture, boxes=boxes, size_px=size_px)


def _corners(number: int, given: Element) -> tuple[str, _Corners]:
    found = given.find("bndbox")
    try:
        left, top, right, bottom = (number_of(text_of(found, each), each) for each in CORNERS)
    except RowError as error:
        raise RowError(f"object {number}: {error}") from None
    return text_of(given, "name"), (left, top, right, bottom)


def _box(number: int, label: str, corners: _Corners, size_px: tuple[int, int] | None) -> Box:
    try:
        return box_of_px(label, corners, size_px)
    except RowError as error:
        raise RowError(f"object {number}: {error}") from None


def _document(name: str, boxes: Sequence[Box], size_px: tuple[int, int]) -> bytes:
    document = Element("annotation")
    SubElement(document, "filename").text = name
    size = SubElement(document, "size")
    for side, length in zip(("width", "height", "depth"), (*size_px, 3), strict=True):
        SubElement(size, side).text = str(length)
    for box in boxes:
        given = SubElement(document, "object")
        SubElement(given, "name").text = box.label
        for name_of_flag in ("difficult", "truncated"):
            SubElement(given, name_of_flag).text = "0"
        corners = SubElement(given, "bndbox")
        for each, value in zip(CORNERS, corners_px(box, size_px), strict=True):
            SubElement(corners, each).text = str(value)
    indent(document)
    content: bytes = tostring(document, encoding="utf-8", xml_declaration=True)
    return content
