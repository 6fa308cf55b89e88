"""The import of many files: several requests in flight, each file noted once it is acknowledged.

A worker takes a group of files, uploads it and reports. Only the thread that calls `run` keeps the
journal and the result.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Protocol

from visionops_assets.client.importing.grouping import grouped
from visionops_assets.client.importing.journal import Journal, Order
from visionops_assets.client.importing.listing import Failure, Item, Place
from visionops_assets.errors import RefusedError, ServerUnreachableError, VisionOpsError
from visionops_client.answers import Receipt
from visionops_client.content import Content
from visionops_client.ingest import IngestClient, said_of
from visionops_client.several import SmallFile

_KEY_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LABEL_REFUSED = "label_forbidden"
"""One file is known by another label, which the key may not change. All others may go on."""


class Watcher(Protocol):
    """Receives the progress of an import."""

    def sent(self, size_bytes: int) -> None:
        """Note bytes that any thread sent; negative if they must be sent again."""

    def settled(self) -> None:
        """Note that one more file is imported or has failed."""


@dataclass
class ImportResult:
    """The results of the files that were tried. `stopped_by` says why others were not."""

    stored: int = 0
    duplicates: list[str] = field(default_factory=list)
    """Paths of files whose bytes were stored already."""
    stored_bytes: int = 0
    failures: list[Failure] = field(default_factory=list)
    stopped_by: VisionOpsError | None = None

    @property
    def tried(self) -> int:
        """Return the number of files that were imported or have failed."""
        return self.stored + len(self.duplicates) + len(self.failures)


class Importer:
    """Imports files of one place, by `parallel` requests at a time."""

    def __init__(self, client: IngestClient, place: Place, order: Order, parallel: int) -> None:
        self._client = client
        self._place = place
        self._order = order
        self._parallel = parallel
        self._stopping = Event()
        self._one_by_one = Event()

    def stop(self) -> None:
        """Begin no further request; `run` returns once those in flight have ended."""
        self._stopping.set()
        self._client.stop_retrying()

    def run(self, items: list[Item], journal: Journal, watcher: Watcher) -> ImportResult:
        """Import files, and return once the last one is settled, or after `stop`."""
        result = ImportResult()
        answers: SimpleQueue[_Answer | None] = SimpleQueue()
        source = _Shared(grouped(items))
        for _ in range(self._parallel):
            # A daemon, so that the process can end without waiting for the files in flight.
            Thread(target=self._work, args=(source, answers, watcher), daemon=True).start()
        working = self._parallel
        while working:
            answer = answers.get()
            if answer is None:
                working -= 1
                continue
            self._settle(answer, result, journal)
            watcher.settled()
        return result

    def _work(
        self, source: "_Shared", answers: "SimpleQueue[_Answer | None]", watcher: Watcher
    ) -> None:
        while not self._stopping.is_set() and (group := source.take()):
            together = self._upload_together(group, watcher)
            for item, outcome in together.items():
                answers.put(_Answer(item, outcome))
            for item in group:
                if item not in together and not self._stopping.is_set():
                    answers.put(_Answer(item, self._upload_alone(item, watcher)))
        answers.put(None)

    def _upload_together(
        self, group: list[Item], watcher: Watcher
    ) -> Mapping[Item, Receipt | Exception]:
        """Upload files in one request, and return what came of those that it took or refused."""
        files = {} if len(group) == 1 or self._one_by_one.is_set() else self._read(group)
        if not files:
            return {}
        try:
            outcomes = self._client.upload_several(list(files.values()), self._order.source)
        except RefusedError as error:
            # For one of the files, or all of them, by an earlier version or a proxy.
            if error.reason != _LABEL_REFUSED:
                self._one_by_one.set()
            return {}
        except Exception as error:  # Any error ends these files, not this thread.
            return dict.fromkeys(files, error)
        watcher.sent(sum(item.size_bytes for item in files))
        return dict(zip(files, outcomes, strict=True))

    def _read(self, group: list[Item]) -> dict[Item, SmallFile]:
        """Read the files that can be read, and are as large as they were when they were listed."""
        read = {}
        for item in group:
            with suppress(OSError, VisionOpsError):
                content = self._place.open(item)
                if content.size_bytes == item.size_bytes:
                    label = label_of(item.path, self._order)
                    said = said_of(item.path, item.modified_at, label, self._order.model)
                    read[item] = SmallFile(b"".join(content.chunks()), said)
        return read

    def _upload_alone(self, item: Item, watcher: Watcher) -> Receipt | Exception:
        try:
            return self._upload(item, watcher)
        except Exception as error:  # Any error ends this file, not this thread.
            return error

    def _upload(self, item: Item, watcher: Watcher) -> Receipt:
        content = _Counted(self._place.open(item), watcher.sent)
        try:
            return self._client.upload(
                content,
                source=self._order.source,
                filename=item.path,
                captured_at=item.modified_at,
                label=label_of(item.path, self._order),
                model=self._order.model,
            )
        finally:
            content.settle(item.size_bytes)

    def _settle(self, answer: "_Answer", result: ImportResult, journal: Journal) -> None:
        item, outcome = answer.item, answer.outcome
        if isinstance(outcome, Receipt):
            journal.add(item, outcome.media_id)
            if outcome.duplicate:
                result.duplicates.append(item.path)
            result.stored += not outcome.duplicate
            result.stored_bytes += 0 if outcome.duplicate else outcome.bytes
        elif isinstance(outcome, VisionOpsError) and _concerns_all_files(outcome):
            # Without a connection, files in flight at the stop are simply not done.
            if not self._stopping.is_set():
                result.stopped_by = outcome
                self.stop()
        elif isinstance(outcome, VisionOpsError | OSError):
            result.failures.append(Failure.of(item.path, outcome))
        else:
            raise outcome


@dataclass(frozen=True)
class _Answer:
    item: Item
    outcome: Receipt | Exception


class _Shared:
    """An iterator that several threads take from."""

    def __init__(self, groups: Iterator[list[Item]]) -> None:
        self._groups = groups
        self._lock = Lock()

    def take(self) -> list[Item] | None:
        with self._lock:
            return next(self._groups, None)


class _Counted:
    """Content that reports how much of it is read; a new reading first takes the old count back."""

    def __init__(self, content: Content, told: Callable[[int], None]) -> None:
        self._content = content
        self._tell = told
        self._told_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._content.size_bytes

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        self.settle(start)
        for chunk in self._content.chunks(start, stop):
            yield chunk
            self.settle(self._told_bytes + len(chunk))

    def settle(self, size_bytes: int) -> None:
        """Correct the reported number of bytes to this one."""
        self._tell(size_bytes - self._told_bytes)
        self._told_bytes = size_bytes


def label_of(path: str, order: Order) -> str | None:
    """Return the label of a file: of the order, of its table, or the name of the file's folder."""
    if order.labels_file is not None:
        return order.labels.get(path)
    if not order.label_by_folder:
        return order.label
    folder, _, _ = path.rpartition("/")
    return folder.rpartition("/")[2] or None


def _concerns_all_files(error: VisionOpsError) -> bool:
    if isinstance(error, RefusedError):
        return error.status in _KEY_REFUSED and error.reason != _LABEL_REFUSED
    return isinstance(error, ServerUnreachableError)
