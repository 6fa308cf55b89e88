"""A folder, or one file, of this machine as a place to import from."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from visionops_assets.client.importing.listing import Failure, Item, Listing, is_hidden
from visionops_client.content import Content, FileContent


class Folder:
    """The regular files below a folder, by the bytes of their names.

    Symbolic links below it are left out: targets within the folder are found anyway, and targets
    outside were not asked for.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve(strict=True)
        self._root = self._path if self._path.is_dir() else self._path.parent

    @property
    def address(self) -> str:
        """Return the absolute path."""
        return str(self._path)

    def list_files(self) -> Listing:
        """Walk the folder.

        Raises:
            OSError: the folder itself cannot be read. An unreadable folder below it is a failure.
        """
        listing = Listing()
        if self._path.is_file():
            listing.items.append(_item(self._path.name, self._path.stat()))
            return listing
        for path, entry in self._walk("", listing):
            try:
                listing.items.append(_item(path, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue  # Removed meanwhile.
        return listing

    def open(self, item: Item) -> Content:
        """Make a file's bytes readable."""
        return FileContent(self._root / item.path)

    def _walk(self, folder: str, listing: Listing) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield files with their relative paths; note in `listing` those that are left out."""
        try:
            with os.scandir(self._root / folder) as entries:
                ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            if not folder:
                raise
            listing.failures.append(Failure.of(folder, error))
            return
        for entry in ordered:
            path = f"{folder}/{entry.name}".lstrip("/")
            if reason := _reason_to_leave_out(entry):
                listing.left_out[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                yield from self._walk(path, listing)
            else:
                yield path, entry


def _reason_to_leave_out(entry: os.DirEntry[str]) -> str | None:
    if is_hidden(entry.name):
        return "hidden"
    if entry.is_symlink():
        return "symbolic link"
    if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
        return "no regular file"
    return None


def _item(path: str, stat: os.stat_result) -> Item:
    modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    return Item(path, stat.st_size, str(stat.st_mtime_ns), modified_at)
