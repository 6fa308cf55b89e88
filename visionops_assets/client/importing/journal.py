"""Notes the progress of an import, so that an interrupted import can be run again.

Each line is a JSON object; the first says which import it is. A line is written once its file is
acknowledged; a file whose line was lost is uploaded again, and is then a duplicate.
"""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from uuid import UUID

from visionops_assets.client.importing.listing import Item
from visionops_assets.errors import VisionOpsError

ID_CHARACTERS = 16


@dataclass(frozen=True)
class Order:
    """The order of an import: source, destination and description. One order has one journal."""

    address: str
    ingest_url: str
    source: str
    label: str | None = None
    label_by_folder: bool = False
    labels_file: str | None = None
    """The table that labels each file; `labels` is its content, by path."""
    model: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what is ordered, with later fields only where they are used."""
        said = asdict(self)
        del said["labels"]
        later = ("labels_file", "model")
        return {name: value for name, value in said.items() if value or name not in later}

    @property
    def import_id(self) -> str:
        """Return an id that follows from the order alone."""
        text = json.dumps(self.facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_CHARACTERS]


class Journal:
    """The journal of one order, open and locked. `afresh` forgets earlier progress.

    Raises:
        VisionOpsError: the same import is running.
    """

    def __init__(self, folder: Path, order: Order, *, afresh: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{order.import_id}.jsonl"
        self._file = self.path.open("a+b")
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise VisionOpsError(
                f"This import is running already, see {self.path}. Wait until it ends."
            ) from None
        if afresh:
            self._file.truncate(0)
        self._done = _read(self._file)
        if not self._file.tell():
            self._write({"import": order.facts})

    def __enter__(self) -> Self:
        """Open it for the length of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def has(self, item: Item) -> bool:
        """Say whether this very version of a file is acknowledged."""
        return _identity(item) in self._done

    def add(self, item: Item, media_id: UUID) -> None:
        """Note that a file is acknowledged."""
        path, size_bytes, version = _identity(item)
        line = {"path": path, "bytes": size_bytes, "version": version, "media_id": str(media_id)}
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        # Escaped, so that a name of any bytes fits in; flushed, so that it survives this process.
        self._file.write(json.dumps(line).encode("ascii") + b"\n")
        self._file.flush()


def _identity(item: Item) -> tuple[str, int, str]:
    return item.path, item.size_bytes, item.version


def _lock(file: IO[bytes]) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(file: IO[bytes]) -> set[tuple[str, int, str]]:
    """Return the files that are done, and cut off a last line that a crash left incomplete."""
    file.seek(0)
    done = set()
    whole_bytes = 0
    for line in file:
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            entry = None
        if entry is None:
            break
        whole_bytes += len(line)
        if "media_id" in entry:
            done.add((entry["path"], entry["bytes"], entry["version"]))
    file.truncate(whole_bytes)
    file.seek(whole_bytes)
    return done
