"""A topic of several logs in memory, and a catalog that notes what was cut of them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from visionops_assets.catalog.schema import LogCut
from visionops_assets.errors import LogTruncatedError
from visionops_assets.resources.topic_reader import QueuedEvent, TopicReader


class MemoryLogs(TopicReader):
    """Partitions that hold the offsets `[start, end)`, as broker and reader; some do not answer."""

    def __init__(self, ranges: dict[int, tuple[int, int]], failing: Collection[int] = ()) -> None:
        self.ranges = ranges
        self.failing = failing

    @contextmanager
    def reader(self) -> Iterator["MemoryLogs"]:
        yield self

    def partitions(self, _topic: str) -> list[int]:
        return sorted(self.ranges)

    def beginning(self, _topic: str, partition: int) -> int:
        return self.ranges[partition][0]

    def poll(
        self,
        topic: str,
        partition: int,
        start: int,
        max_events: int,
        timeout_s: float,
        until: float = float("inf"),
    ) -> list[QueuedEvent]:
        assert timeout_s > 0
        if partition in self.failing:
            raise self.error
        first, end = self.ranges[partition]
        if not first <= start <= end:
            raise LogTruncatedError(f"{topic}-{partition} ends at {end}.")
        last = min(end, start + max_events)
        return [QueuedEvent(offset, 0, b"") for offset in range(start, int(min(last, until)))]

    error: Exception = AssertionError()


class CutCatalog:
    """A catalog of `LogCut` rows alone; it is its own session."""

    def __init__(self) -> None:
        self.cuts: list[LogCut] = []

    @contextmanager
    def begin(self) -> Iterator["CutCatalog"]:
        yield self

    def add(self, cut: LogCut) -> None:
        self.cuts.append(cut)

    def flush(self) -> None: ...

    def scalar(self, _count_of_replaced: Any) -> int:
        return sum(cut.is_replaced for cut in self.cuts)
