"""COCO: one JSON of `images`, `categories` and `annotations`, with `bbox` in pixels.

An annotation without a box is a label of the whole picture. Of a segmentation the box around it is
taken; outlines and keypoints are not. Pictures that no annotation names say nothing.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import fresh, picture_in, picture_of_address, read_json
from visionops_assets.formats.records import (
    BadRow,
    Entry,
    LeftOut,
    Reading,
    RowError,
    of_pictures,
)
from visionops_assets.formats.shares import (
    box_of_px,
    corners_px,
    enclosing,
    number_of,
    size_of,
)
from visionops_assets.tasks.annotations import Box

SHA256 = re.compile(r"[0-9a-f]{64}")
BBOX = 4
ADDRESSES = ("/data/", "http://", "https://", "s3://", "gs://")
"""Such names are written by Label Studio."""


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read a file of instances. See `Format`."""
    document = read_json(path)
    images, categories, annotations = _parts(path, document)
    names = {_id(each, "id"): each.get("name") for each in categories}
    known = {_id(image, "id") for image in images} - {None}
    by_image: dict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for number, given in enumerate(annotations):
        image_id = _id(given, "image_id")
        if image_id in known:
            by_image[image_id].append((number, given))
        else:
            reason = f"There is no image with the id {given.get('image_id')!r}."
            yield BadRow(f"{path.name}, annotations[{number}]", reason)
    for number, image in enumerate(images):
        given_of_image = by_image.get(_id(image, "id"))
        if not given_of_image:
            continue
        where = f"{path.name}, images[{number}]"
        try:
            yield _entry(where, image, given_of_image, names, reading)
        except RowError as error:
            yield BadRow(where, str(error))


@dataclass
class _Document:
    """The lists of a file that is written, and the ids of its categories."""

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        width, height = entry.size_px or (0, 0)
        image_id = len(self.images) + 1
        image = {"id": image_id, "file_name": entry.title, "width": width, "height": height}
        self.images.append(image | ({"sha256": entry.sha256} if entry.sha256 else {}))
        for box in entry.boxes:
            left, top, right, bottom = corners_px(box, (width, height))
            across, down = round(right - left, 3), round(bottom - top, 3)
            bbox = {"bbox": [left, top, across, down], "area": round(across * down, 3)}
            self._annotate(image_id, box.label, bbox)
        for label in entry.labels:
            if label not in {box.label for box in entry.boxes}:
                self._annotate(image_id, label, {})

    def _annotate(self, image_id: int, label: str, shape: Mapping[str, Any]) -> None:
        category_id = self.categories.setdefault(label, len(self.categories) + 1)
        ids = {"id": len(self.annotations) + 1, "image_id": image_id, "category_id": category_id}
        self.annotations.append(ids | {"iscrowd": 0, **shape})

    @property
    def content(self) -> dict[str, Any]:
        categories = [{"id": number, "name": name} for name, number in self.categories.items()]
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write a file of instances. See `Format`."""
    left_out, document = LeftOut(), _Document()
    for entry in of_pictures(entries, left_out, in_px=True):
        document.add(entry)
    with fresh(path).open("x", encoding="utf-8") as file:
        json.dump(document.content, file)
    return left_out


def _parts(path: Path, document: Any) -> Iterator[Sequence[Mapping[str, Any]]]:
    for name in ("images", "categories", "annotations"):
        part = document.get(name) if isinstance(document, Mapping) else None
        if not isinstance(part, list) or not all(isinstance(each, Mapping) for each in part):
            raise InvalidRequestError(
                f"{path} is no COCO file: it needs the lists images, categories and annotations of "
                f"objects, and has no such {name}."
            )
        yield part


def _id(given: Mapping[str, Any], name: str) -> int | str | None:
    found = given.get(name)
    return found if isinstance(found, int | str) else None


def _entry(
    where: str,
    image: Mapping[str, Any],
    annotations: Sequence[tuple[int, Mapping[str, Any]]],
    names: Mapping[Any, Any],
    reading: Reading,
) -> Entry:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise RowError("The image has no file_name.")
    if name.startswith(ADDRESSES):
        name = picture_of_address(name) or name
    size_px = size_of(image.get("width"), image.get("height"))
    labels: list[str] = []
    boxes: list[Box] = []
    for number, given in annotations:
        try:
            label, corners = _label(given, names), _corners(given)
            if corners is None:
                labels.append(label)
            else:
                boxes.append(box_of_px(label, corners, size_px))
        except RowError as error:
            raise RowError(f"annotations[{number}]: {error}") from None
    hashed = image.get("sha256")
    sha256 = hashed if isinstance(hashed, str) and SHA256.fullmatch(hashed) else None
    picture = picture_in(reading.images, name)
    found = tuple(dict.fromkeys(labels))
    return Entry(where, name, None, sha256, picture, None, None, found, tuple(boxes), size_px)


def _label(given: Mapping[str, Any], names: Mapping[Any, Any]) -> str:
    label = names.get(_id(given, "category_id"))
    if not isinstance(label, str):
        raise RowError(f"There is no category {given.get('category_id')!r}.")
    return label


def _corners(given: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    bbox = given.get("bbox")
    if bbox:
        if not isinstance(bbox, list) or len(bbox) != BBOX:
            raise RowError("bbox is no list of four numbers.")
        left, top, width, height = (number_of(each, "bbox") for each in bbox)
        is_none = not (left or top or width or height)
        return None if is_none else (left, top, left + width, top + height)
    polygons = given.get("segmentation")
    if not polygons:
        return None
    if not isinstance(polygons, list) or not all(isinstance(each, list) for each in polygons):
        raise RowError("It has a mask and no bbox: only polygons and boxes are read.")
    numbers = [[number_of(each, "segmentation") for each in polygon] for polygon in polygons]
    return enclosing(
        point for polygon in numbers for point in zip(polygon[::2], polygon[1::2], strict=False)
    )
