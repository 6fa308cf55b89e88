"""Describes the files of a place to import from, for any kind of place."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from visionops_assets.errors import RefusedError, VisionOpsError
from visionops_client.content import Content


@dataclass(frozen=True, slots=True)
class Item:
    """One file. `path` is relative to the place, with `/` between folders; it may be any text.

    `version` changes when the file does; `modified_at` is in UTC.
    """

    path: str
    size_bytes: int
    version: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be used, and why."""

    path: str
    code: str
    detail: str

    @classmethod
    def of(cls, path: str, error: VisionOpsError | OSError) -> Self:
        """Say it of an error."""
        if isinstance(error, RefusedError):
            return cls(path, error.reason, error.detail)
        if isinstance(error, VisionOpsError):
            return cls(path, error.code, str(error))
        return cls(path, "unreadable", error.strerror or str(error))


@dataclass
class Listing:
    """The files of a place in order, the number left out by reason, and the failures."""

    items: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


class Place(Protocol):
    """Where files are imported from."""

    @property
    def address(self) -> str:
        """Return the name of the place; it does not depend on the working folder."""

    def list_files(self) -> Listing:
        """List the files.

        Raises:
            OSError: the place itself cannot be read.
        """

    def open(self, item: Item) -> Content:
        """Make a file's bytes readable.

        Raises:
            OSError: it is gone, or cannot be read.
        """


def is_hidden(path: str) -> bool:
    """Say whether the file, or a folder it lies in, has a name that begins with a dot."""
    return any(name.startswith(".") for name in path.split("/"))
