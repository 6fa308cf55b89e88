"""The folder of a labelling batch: its images, and a CSV file whose labels people fill in."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from visionops_assets.errors import AlteredMediaError, InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from visionops_assets.catalog.labelling_items import BatchItem
    from visionops_assets.resources.object_store import ObjectStore

COLUMNS = (
    *("prediction_id", "answer", "label"),
    *("media_id", "filename", "start_s", "end_s", "model"),
)
LABELS_FILE = "labels.csv"
_PART = ("start_s", "end_s")


@dataclass(frozen=True)
class Asked:
    """A prediction, a file or a part of a video (in seconds) that a line of the file asks about.

    `model` is the one that a file is labelled for; None in files of versions before.
    """

    prediction_id: UUID | None = None
    media_id: UUID | None = None
    start_s: float | None = None
    end_s: float | None = None
    model: str | None = None


def read_labels(path: Path) -> dict[Asked, str]:
    """Read the filled-in labels of a CSV file; the last one of a prediction or a file counts.

    Raises:
        InvalidRequestError: it is not such a file, or holds no label. Nothing has been sent.
    """
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            labels = dict(_labels(path, csv.DictReader(lines, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{path} is no CSV file in UTF-8: {error}.") from error
    if not labels:
        raise InvalidRequestError(f"{path} holds no label: fill in the column `label`.")
    return labels


def _labels(path: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[Asked, str]]:
    missing = {"prediction_id", "label"} - set(reader.fieldnames or ())
    if missing:
        raise InvalidRequestError(
            f"{path} has no column {' and no column '.join(sorted(missing))}: the first line names "
            f"the columns, {', '.join(COLUMNS)}."
        )
    for row in reader:
        label = (row["label"] or "").strip()
        if label:
            yield _asked(f"{path}, line {reader.line_num}", row), label


def _asked(where: str, row: dict[str, str]) -> Asked:
    if not row.get("media_id"):
        try:
            return Asked(UUID(row["prediction_id"]))
        except (ValueError, TypeError, AttributeError):
            raise InvalidRequestError(
                f"{where}: {row['prediction_id']!r} is not a prediction id."
            ) from None
    try:
        start_s, end_s = (float(row[name]) if row.get(name) else None for name in _PART)
        return Asked(None, UUID(row["media_id"]), start_s, end_s, row.get("model") or None)
    except ValueError:
        raise InvalidRequestError(
            f"{where}: {row['media_id']!r} is not a media id, or start_s and end_s are no seconds."
        ) from None


def save(items: "Sequence[BatchItem]", folder: Path, model: str) -> tuple[int, list[str]]:
    """Save images and the CSV file; return how many images there are, and why others are not.

    Raises:
        InvalidRequestError: the CSV file exists already, and may have been filled in.
    """
    from visionops_assets.resources.object_store import ObjectStore

    if (folder / LABELS_FILE).exists():
        raise InvalidRequestError(
            f"{folder / LABELS_FILE} exists already, and labels may be in it: name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    store, saved, lost = ObjectStore(), 0, list[str]()
    for item in items:
        name = item.prediction_id or item.media_id
        try:
            image = _image_of(store, item)
        except (NotFoundError, AlteredMediaError) as error:
            lost.append(f"{name}: {error}")
            continue
        if image is not None:
            (folder / f"{name}{_suffix(image)}").write_bytes(image)
            saved += 1
    with (folder / LABELS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for item in items:
            of_file = (item.media_id, item.filename, item.start_s, item.end_s)
            said = (item.prediction_id, item.answer, item.label)
            writer.writerow([*said, *of_file, model if item.media_id else None])
    return saved, lost


def _image_of(store: "ObjectStore", item: "BatchItem") -> bytes | None:
    """Read the image of an item; None of a video, and of a prediction that kept none.

    Raises:
        NotFoundError: it is gone.
        AlteredMediaError: it is not the image that was kept.
    """
    from visionops_assets.monitoring.kept_images import read_kept_image

    if item.object_key is not None:
        return store.get(item.object_key)
    return read_kept_image(store, item.image_key) if item.image_key is not None else None


def _suffix(image: bytes) -> str:
    """Return the file extension of a kind of image, so that viewers open it."""
    from visionops_assets.vision.headers import image_format

    found = image_format(image)
    return f".{found.name.lower()}" if found else ""
