"""Label Studio's JSON: a list of tasks with `data` and `annotations`, in percent of the picture.

Of several annotations of a task the newest counts. Rectangles, polygons and choices are read; the
upright box around a turned one is taken. A task is about the picture that its data name.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
    rows_of,
)
from visionops_assets.formats.shares import box_of_corners, enclosing, number_of, size_of, turned
from visionops_assets.tasks.annotations import Box

SHA256 = re.compile(r"[0-9a-f]{64}")
PERCENT = 100
_SIDES = ("x", "y", "width", "height")


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read an export of tasks. See `Format`."""
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(each, Mapping) for each in tasks):
        raise InvalidRequestError(f"{path} is no export of Label Studio: it is no list of tasks.")
    parts = ((f"{path.name}, [{number}]", task) for number, task in enumerate(tasks))
    yield from rows_of(parts, lambda where, task: _entry(where, task, reading))


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write tasks. See `Format`."""
    left_out = LeftOut()
    tasks = [_task(*each) for each in enumerate(of_pictures(entries, left_out), 1)]
    with fresh(path).open("x", encoding="utf-8") as file:
        json.dump(tasks, file)
    return left_out


def _entry(where: str, task: Mapping[str, Any], reading: Reading) -> Entry | None:
    """Return what is said of a picture; None if that is nothing."""
    results = _newest(task)
    if not results:
        return None
    labels: list[str] = []
    boxes: list[Box] = []
    size_px = None
    for number, result in enumerate(results):
        try:
            size_px = size_of(result.get("original_width"), result.get("original_height"))
            labels += _choices(result)
            boxes += _boxes(result, size_px)
        except RowError as error:
            raise RowError(f"result[{number}]: {error}") from None
    if not labels and not boxes:
        return None
    data = task.get("data")
    named = data if isinstance(data, Mapping) else {}
    name, hashed = _name(named), named.get("sha256")
    return Entry(
        where,
        name,
        sha256=hashed if isinstance(hashed, str) and SHA256.fullmatch(hashed) else None,
        picture=picture_in(reading.images, name),
        labels=tuple(dict.fromkeys(labels)),
        boxes=tuple(boxes),
        size_px=size_px,
    )


def _newest(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of the newest annotation that was not cancelled."""
    standing = [each for each in _objects(task, "annotations") if not each.get("was_cancelled")]
    if not standing:
        return []
    times = [str(each.get("updated_at") or each.get("created_at") or "") for each in standing]
    newest = max(range(len(standing)), key=lambda place: (times[place], place))
    return _objects(standing[newest], "result")


def _objects(of: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = of.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _list(value: object, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def _choices(result: Mapping[str, Any]) -> list[str]:
    return [str(each) for each in _list(result.get("value"), "choices")]


def _boxes(result: Mapping[str, Any], size_px: tuple[int, int] | None) -> list[Box]:
    """Return a box per label of a result; other results than shapes have none."""
    kind, value = str(result.get("type")), result.get("value")
    labels = _list(value, kind)
    if not kind.endswith("labels") or not labels or not isinstance(value, Mapping):
        return []
    if kind == "rectanglelabels":
        corners = _rectangle(value, size_px)
    elif kind == "polygonlabels":
        corners = enclosing(map(_point, _list(value, "points")))
    else:
        raise RowError(f"{kind} are not read: only rectanglelabels, polygonlabels and choices are.")
    shares = [each / PERCENT for each in corners]
    return [box_of_corners(str(label), *shares) for label in labels]


def _rectangle(
    value: Mapping[str, Any], size_px: tuple[int, int] | None
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, in percent; it is turned about its left upper corner."""
    left, top, width, height = (number_of(value.get(each), each) for each in _SIDES)
    corners = (left, top, left + width, top + height)
    degrees = number_of(value.get("rotation") or 0, "rotation")
    if not degrees:
        return corners
    if size_px is None:
        raise RowError("The rectangle is turned, and the size of the picture is not known.")
    # In percent of an oblong picture angles are distorted: it is turned in a square one.
    wide = size_px[0] / size_px[1]
    in_square = (left * wide, top, (left + width) * wide, top + height)
    found = enclosing(turned(in_square, degrees, (left * wide, top)))
    return found[0] / wide, found[1], found[2] / wide, found[3]


def _point(given: object) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != len(("x", "y")):
        raise RowError("points are no pairs of numbers.")
    return number_of(given[0], "points"), number_of(given[1], "points")


def _name(data: Mapping[str, Any]) -> str:
    """Return the name of the picture that a task's data name by path or address.

    Raises:
        RowError: they name none.
    """
    for text in data.values():
        name = picture_of_address(text) if isinstance(text, str) else None
        if name:
            return name
    raise RowError("Its data name no picture.")


def _task(number: int, entry: Entry) -> Mapping[str, Any]:
    boxed = {box.label for box in entry.boxes}
    width, height = entry.size_px or (None, None)
    size = {"original_width": width, "original_height": height} if entry.size_px else {}
    results: list[dict[str, Any]] = [
        {
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "value": {
                **{side: round(getattr(box, side) * PERCENT, 6) for side in _SIDES},
                "rotation": 0,
                "rectanglelabels": [box.label],
            },
            **size,
        }
        for box in entry.boxes
    ]
    chosen = [label for label in entry.labels if label not in boxed]
    if chosen:
        value = {"choices": chosen}
        named = {"from_name": "choice", "to_name": "image"}
        results.append({"type": "choices", **named, "value": value, **size})
    data = {"image": entry.title} | ({"sha256": entry.sha256} if entry.sha256 else {})
    return {"id": number, "data": data, "annotations": [{"id": number, "result": results}]}
