"""Reads on in the log of a topic partition: what was cut of it is said, noted and passed over."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from visionops_assets.catalog.logs import log_of, note_cut, note_replaced
from visionops_assets.errors import LogTruncatedError
from visionops_assets.resources.topic_reader import QueuedEvent, TopicReader


@dataclass(frozen=True)
class Passage:
    """Messages read of a log from offset `start` on; `log` is its name in the catalog."""

    log: str
    start: int
    events: list[QueuedEvent]

    @property
    def end(self) -> int:
        """Return the offset to go on from."""
        return self.events[-1].offset + 1 if self.events else self.start


@dataclass(frozen=True)
class LogReading:
    """Reads on in the logs of a topic. `say` is told in words what was lost of one."""

    reader: TopicReader
    topic: str
    say: Callable[[str], None]

    def read_on(
        self,
        session: Session,
        partition: int,
        taken: Callable[[str, int], int | None],
        max_events: int,
        timeout_s: float,
    ) -> Passage:
        """Read up to `max_events` of a partition, from its beginning or from where it goes on.

        `taken(log, partition)` is the offset to go on from in a log, None before the first.

        Raises:
            MissingCodecError: a message has a compression that cannot be read here.
            ServerUnreachableError: the queue does not answer.
        """
        log = log_of(session, self.topic, partition)
        start = self._start(session, log, partition, taken(log, partition))
        try:
            events = self.reader.poll(self.topic, partition, start, max_events, timeout_s)
        except LogTruncatedError as error:
            log = note_replaced(session, log, partition, start)
            self.say(f"{error} It is read from its beginning, as {log}.")
            start = self.reader.beginning(self.topic, partition)
            events = self.reader.poll(self.topic, partition, start, max_events, timeout_s)
        return Passage(log, start, events)

    def _start(self, session: Session, log: str, partition: int, taken: int | None) -> int:
        beginning = self.reader.beginning(self.topic, partition)
        if taken is not None and taken < beginning:
            note_cut(session, log, partition, taken, beginning)
            self.say(
                f"{self.topic}-{partition} lost its offsets [{taken}, {beginning}) before they "
                "were read."
            )
        return beginning if taken is None else max(taken, beginning)
