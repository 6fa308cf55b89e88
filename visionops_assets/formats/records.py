"""The records that all formats share: an entry of a file, and a row that could not be read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from visionops_assets.errors import InvalidRequestError
from visionops_assets.tasks.annotations import Box

Part = TypeVar("Part")

PART = "It is about a part of a video, which this format does not know."


class RowError(Exception):
    """A row cannot be used; the message says why. Readers turn it into a `BadRow`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The labels of one picture, or of one video or a part of it.

    `where` is its place in the file: a line, or a path of JSON. It is found by its id, its SHA-256
    or its name; `picture` is a copy beside the file, whose hash is its SHA-256. `labels` are of all
    of it, `size_px` is its width and height. From `start_s` to `end_s` (exclusive), or as a whole.
    """

    where: str
    name: str | None = None
    media_id: UUID | None = None
    sha256: str | None = None
    picture: Path | None = None
    start_s: float | None = None
    end_s: float | None = None
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    size_px: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """Return the name by which people know it: that of its file, or else its id."""
        return self.name or str(self.media_id or self.sha256 or "")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not taken, where it stands, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """The facts that some formats need to be read.

    `images` is a folder with copies of the pictures; `fps` the frames per second of videos whose
    frames a file counts; `split` returns the labels of one cell of a table.
    """

    images: Path | None = None
    fps: float | None = None
    split: Callable[[str], Sequence[str]] = lambda text: (text,)


@dataclass
class LeftOut:
    """The entries that an export could not write."""

    rows: list[BadRow] = field(default_factory=list)

    def add(self, entry: Entry, reason: str) -> None:
        """Note that an entry is not in the file."""
        self.rows.append(BadRow(entry.title, reason))


class Format(Protocol):
    """A format: how a file, or a folder, of it is read and written."""

    def read(self, path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
        """Yield what a file says, and what in it cannot be used.

        Raises:
            InvalidRequestError: it is no file of this format.
        """

    def write(self, path: Path, entries: Iterable[Entry]) -> LeftOut:
        """Write a new file of what there is; return what it could not hold.

        Raises:
            InvalidRequestError: there is such a file already.
        """


def of_pictures(
    entries: Iterable[Entry],
    left_out: LeftOut,
    *,
    by_boxes: bool = False,
    in_px: bool = False,
) -> Iterator[Entry]:
    """Yield the entries that a format of pictures can hold, and note the others.

    One `by_boxes` knows no labels of a whole picture, one `in_px` needs its size for boxes.
    """
    for entry in entries:
        if entry.start_s is not None:
            left_out.add(entry, PART)
        elif by_boxes and {*entry.labels} - {box.label for box in entry.boxes}:
            left_out.add(entry, "It has a label without a box, which this format does not know.")
        elif in_px and entry.boxes and entry.size_px is None:
            left_out.add(
                entry,
                "The size of its picture is not known, and this format counts pixels. Take csv, "
                "yolo or label-studio.",
            )
        elif not entry.labels and not entry.boxes:
            left_out.add(entry, "It names no label, and this format says nothing without one.")
        else:
            yield entry


def rows_of(
    parts: Iterable[tuple[str, Part]], entry_of: Callable[[str, Part], Entry | None]
) -> Iterator[Entry | BadRow]:
    """Yield the entry of each part of a file, if it says anything, or why it cannot be used."""
    for where, part in parts:
        try:
            entry = entry_of(where, part)
        except (RowError, InvalidRequestError) as error:
            yield BadRow(where, str(error))
            continue
        if entry is not None:
            yield entry
