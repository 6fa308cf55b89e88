"""Lines of JSON as the gateway takes and gives them, from and to entries of files.

Each line names one file, and says in the form of a task what it shows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import sha256_of
from visionops_assets.formats.records import BadRow, Entry
from visionops_assets.tasks.annotations import Annotating


@dataclass(frozen=True, slots=True)
class Line:
    """The words to the gateway about one entry, and where that stands in the file."""

    where: str
    said: Mapping[str, Any]

    @property
    def subject(self) -> tuple[Any, ...]:
        """Return by what the file is named."""
        return tuple(self.said.get(name) for name in ("media_id", "sha256", "filename"))


def lines_of(rows: Iterable[Entry | BadRow], task: Annotating) -> Iterator[Line | BadRow]:
    """Say each entry in the form of a task. One that its models cannot learn from is a bad row."""
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            annotation = task.gather(row.labels, row.boxes, row.size_px)
            yield Line(row.where, _named(row) | {"annotation": task.payload(annotation)})
        except InvalidRequestError as error:
            yield BadRow(row.where, str(error))
        except OSError as error:
            yield BadRow(row.where, f"{row.picture} cannot be read: {error.strerror}.")


def entry_of(line: Mapping[str, Any], task: Annotating) -> Entry:
    """Return the entry of a line that the gateway gave."""
    annotation = task.recall(line["annotation"])
    size = line.get("size_px")  # Gateways of before do not know it.
    return Entry(
        str(line["media_id"]),
        line["filename"],
        UUID(str(line["media_id"])),
        line["sha256"],
        None,
        line["start_s"],
        line["end_s"],
        annotation.labels,
        annotation.boxes,
        annotation.size_px or (None if size is None else (size[0], size[1])),
    )


def _named(entry: Entry) -> dict[str, Any]:
    sha256 = entry.sha256 or (sha256_of(entry.picture) if entry.picture else None)
    said = {
        "media_id": str(entry.media_id) if entry.media_id else None,
        "sha256": sha256,
        "filename": entry.name,
        "start_s": entry.start_s,
        "end_s": entry.end_s,
    }
    return {name: value for name, value in said.items() if value is not None}
