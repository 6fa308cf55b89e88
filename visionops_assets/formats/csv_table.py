"""CSV: a row per label. Rows about the same picture, or the same part of a video, belong together.

The columns: `filename` (or `path`), `media_id` or `sha256`; `label`; and where there are some,
`start_s` and `end_s`; `x`, `y`, `width` and `height` of a box, 0..1 from the upper left corner;
`picture_width_px` and `picture_height_px`. A row without a label is not filled in, and left out.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import bounded, fresh, picture_in
from visionops_assets.formats.records import BadRow, Entry, LeftOut, Reading, RowError
from visionops_assets.formats.shares import box_of_corners, number_of, size_of
from visionops_assets.tasks.annotations import Box

NAMES = ("media_id", "sha256", "filename")
PART = ("start_s", "end_s")
BOX = ("x", "y", "width", "height")
SIZE = ("picture_width_px", "picture_height_px")
COLUMNS = (*NAMES, "label", *PART, *BOX, *SIZE)
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read a table. See `Format`."""
    entries: dict[tuple[object, ...], Entry] = {}
    bad: dict[tuple[object, ...], BadRow] = {}
    for where, row in _rows(path):
        try:
            entry = _entry(where, row, reading)
        except RowError as error:
            # A picture without one of its rows would be learned wrongly: none of them is taken.
            bad.setdefault(_subject(row), BadRow(where, str(error)))
            continue
        if entry is None:
            continue
        key = _subject(row)
        before = entries.get(key)
        entries[key] = entry if before is None else _joined(before, entry)
    yield from bad.values()
    yield from (entry for key, entry in entries.items() if key not in bad)


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write a table, with a row per label and per box. See `Format`."""
    left_out = LeftOut()
    with fresh(path).open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for entry in entries:
            if not entry.labels and not entry.boxes:
                left_out.add(entry, "It names no label, and a table without one says nothing.")
            writer.writerows(_rows_of(entry))
    return left_out


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row that is filled in, and where it stands."""
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        with bounded(path).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            _check(path, table.fieldnames or ())
            for row in table:
                cells = {name: (row.get(name) or "").strip() for name in (*COLUMNS, "path")}
                cells["filename"] = cells["filename"] or cells["path"]
                yield f"{path.name}, line {table.line_num}", cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{path} is no CSV file in UTF-8: {error}.") from error


def _check(path: Path, columns: Iterable[str]) -> None:
    if "label" not in columns or not {*NAMES, "path"} & set(columns):
        raise InvalidRequestError(
            f"{path} needs the column label, and one of filename, media_id and sha256: the first "
            f"line names the columns, of {', '.join(COLUMNS)}."
        )


def _subject(row: Mapping[str, str]) -> tuple[object, ...]:
    return tuple(row[name] for name in (*NAMES, *PART))


def _entry(where: str, row: Mapping[str, str], reading: Reading) -> Entry | None:
    """Return the entry of one row; None of one that is not filled in."""
    if not row["label"]:
        return None
    media_id, sha256, name = (row[column] or None for column in NAMES)
    if sha256 and not SHA256.fullmatch(sha256):
        raise RowError(f"sha256 has no 64 hexadecimal digits: {sha256[:80]!r}.")
    box = _box(row)
    start_s, end_s = _numbers(row, PART) or (None, None)
    return Entry(
        where,
        name,
        _uuid(media_id),
        sha256.lower() if sha256 else None,
        picture_in(reading.images, name or ""),
        start_s,
        end_s,
        () if box else tuple(reading.split(row["label"])),
        (box,) if box else (),
        size_of(row[SIZE[0]], row[SIZE[1]]),
    )


def _box(row: Mapping[str, str]) -> Box | None:
    numbers = _numbers(row, BOX)
    if numbers is None:
        return None
    x, y, width, height = numbers
    return box_of_corners(row["label"], x, y, x + width, y + height)


def _numbers(row: Mapping[str, str], columns: tuple[str, ...]) -> list[float] | None:
    if not any(row[column] for column in columns):
        return None
    return [number_of(row[column], column) for column in columns]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise RowError(f"media_id is no UUID: {str(text)[:80]!r}.") from None


def _joined(before: Entry, entry: Entry) -> Entry:
    """Return what two rows about the same say together."""
    return replace(
        before,
        labels=tuple(dict.fromkeys((*before.labels, *entry.labels))),
        boxes=before.boxes + entry.boxes,
        size_px=before.size_px or entry.size_px,
    )


def _rows_of(entry: Entry) -> Iterator[list[object]]:
    names = [entry.media_id or "", entry.sha256 or "", entry.name or ""]
    part = ["" if time_s is None else time_s for time_s in (entry.start_s, entry.end_s)]
    size = entry.size_px or ("", "")
    boxed = {box.label for box in entry.boxes}
    for label in entry.labels:
        if label not in boxed:
            yield [*names, label, *part, "", "", "", "", *size]
    for box in entry.boxes:
        yield [*names, box.label, *part, box.x, box.y, box.width, box.height, *size]
