"""YOLO: a folder with `data.yaml`, and a text per picture: a line `class x y width height` per box.

Numbers are shares of the picture, x and y of the box's centre; a line with more of them is an
outline, and the box around it is taken. `labels/day/1.txt` is about `images/day/1.*`, which gives
the name: the text has none. Label Studio writes `classes.txt` in place of `data.yaml`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import (
    MAX_SMALL_BYTES,
    bounded,
    folder,
    fresh,
    picture_beside,
    place_in,
)
from visionops_assets.formats.records import (
    BadRow,
    Entry,
    LeftOut,
    Reading,
    RowError,
    of_pictures,
)
from visionops_assets.formats.shares import box_of_corners, enclosing, number_of
from visionops_assets.tasks.annotations import Box

DESCRIPTION = "data.yaml"
LIST = "classes.txt"
LABELS, IMAGES = "labels", "images"
BOX_NUMBERS = 4
POINT_NUMBERS = 6
"""The least of an outline: three points."""


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read a dataset. See `Format`."""
    root = folder(path, f"{DESCRIPTION} and a folder {LABELS}")
    listed = root / LIST
    is_listed = listed.is_file() and not (root / DESCRIPTION).exists()
    classes = _listed(listed) if is_listed else _classes(root / DESCRIPTION)
    for text in sorted(root.rglob("*.txt")):
        below = text.relative_to(root)
        if LABELS not in below.parts[:-1]:
            continue
        try:
            boxes = _boxes(text, classes)
            picture = _picture(root, below, reading) if boxes else None
        except RowError as error:
            yield BadRow(str(below), str(error))
            continue
        if picture is not None:
            found, name = picture
            yield Entry(str(below), name, picture=found, boxes=boxes)


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write a dataset without its pictures. See `Format`."""
    left_out, classes = LeftOut(), dict[str, int]()
    root = fresh(path)
    (root / LABELS).mkdir(parents=True)
    for entry in of_pictures(entries, left_out, by_boxes=True):
        try:
            place = place_in(root / LABELS, entry.title, ".txt")
        except RowError as error:
            left_out.add(entry, str(error))
            continue
        lines = [_line(classes.setdefault(box.label, len(classes)), box) for box in entry.boxes]
        place.write_text("".join(lines), encoding="utf-8")
    names = {number: name for name, number in classes.items()}
    described = {"path": ".", "train": IMAGES, "val": IMAGES, "names": names}
    text = yaml.safe_dump(described, allow_unicode=True, sort_keys=False)
    (root / DESCRIPTION).write_text(text, encoding="utf-8")
    return left_out


def _classes(path: Path) -> dict[int, str]:
    """Return the names of classes by their numbers."""
    try:
        document = yaml.safe_load(bounded(path, MAX_SMALL_BYTES).read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InvalidRequestError(f"{path} is no YAML: {said}.") from None
    names: Any = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise InvalidRequestError(f"{path} has no names of classes: a list, or names by number.")
    return {number: str(name) for number, name in names.items()}


def _listed(path: Path) -> dict[int, str]:
    """Return the names of classes of a list, a line per class."""
    try:
        lines = bounded(path, MAX_SMALL_BYTES).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{path} is no text in UTF-8.") from None
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _boxes(text: Path, classes: dict[int, str]) -> tuple[Box, ...]:
    try:
        lines = bounded(text, MAX_SMALL_BYTES).read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, InvalidRequestError):
        raise RowError("It is no text, or too large.") from None
    boxes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            boxes.append(_box(line.split(), classes))
        except RowError as error:
            raise RowError(f"line {number}: {error}") from None
    return tuple(boxes)


def _box(words: Sequence[str], classes: dict[int, str]) -> Box:
    first, *rest = (number_of(word, "A word of the line") for word in words)
    label = classes.get(int(first))
    if label is None or first != int(first):
        raise RowError(f"{DESCRIPTION} has no class {words[0][:40]}.")
    if len(rest) == BOX_NUMBERS:
        across, down, width, height = rest
        left, top = across - width / 2, down - height / 2
        return box_of_corners(label, left, top, left + width, top + height)
    if len(rest) < POINT_NUMBERS or len(rest) % 2:
        raise RowError("It is neither a box of four numbers nor an outline of points.")
    return box_of_corners(label, *enclosing(zip(rest[::2], rest[1::2], strict=True)))


def _picture(root: Path, below: Path, reading: Reading) -> tuple[Path, str]:
    """Return the picture of a text and its name; it lies in `images` in place of `labels`."""
    parts = list(below.parts[:-1])
    last = len(parts) - 1 - parts[::-1].index(LABELS)
    inner = Path(*parts[last + 1 :])
    parts[last] = IMAGES
    places = [(root, root.joinpath(*parts))]
    if reading.images is not None:
        places += [(reading.images, reading.images / inner), (reading.images, reading.images)]
    # Label Studio writes names as they stand in addresses.
    for (start, place), stem in product(places, dict.fromkeys((below.stem, unquote(below.stem)))):
        found = picture_beside(place, stem) if "/" not in stem else None
        if found is not None:
            return found, str(found.relative_to(start))
    raise RowError(
        f"There is no picture for it in {Path(*parts)}: lay it there, or name the folder of the "
        "pictures by --images."
    )


def _line(number: int, box: Box) -> str:
    shares = (box.x + box.width / 2, box.y + box.height / 2, box.width, box.height)
    return f"{number} {' '.join(f'{share:.6f}' for share in shares)}\n"
