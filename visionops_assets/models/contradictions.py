"""Labels that contradict each other about one content, and the one that counts. Pure.

Of one person's words about a file the newest stands, so a correction contradicts nothing. Of
several words the most trusted one counts, and of equally trusted ones the newest. Words about
parts of a video are settled for each moment of it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import inf
from uuid import UUID

from visionops_assets.contracts import Purpose
from visionops_assets.tasks.registry import annotating

Content = tuple[str, int]
"""The SHA-256 of a file, in hexadecimal, and the place of a frame in it."""
Part = tuple[float, float]
"""Start and end (exclusive) of a part of a video, in seconds."""
WHOLE: Part = (0.0, inf)
_KEY_OF_A_COMMAND = re.compile(r"(import|labels|labelling)-[0-9a-f]{8,}")
"""Names of keys that a command makes for one call: the person at the machine is behind them all."""


@dataclass(frozen=True)
class Word:
    """A label that stands, as one text, and all that decides whether it counts.

    `trust` is 0..1. Later words have larger ids.
    """

    annotation_id: int
    media_id: UUID
    label: str
    author: str | None
    origin: str
    trust: float
    created_at: datetime

    @property
    def speaker(self) -> str:
        """Return who said it: the author, or the origin of labels whose author is not known."""
        if self.author is None:
            return self.origin
        of_command = _KEY_OF_A_COMMAND.fullmatch(self.author)
        return "command line" if of_command else self.author

    @property
    def rank(self) -> tuple[float, int]:
        """Return the order in which words count: the largest counts."""
        return self.trust, self.annotation_id

    def __str__(self) -> str:
        trusted = "" if self.trust == 1 else f", trust {self.trust:g}"
        return f"{self.label} ({self.speaker}{trusted})"


@dataclass(frozen=True)
class Settled:
    """The word that counts for a content, and those that contradict it, the next best first."""

    counts: Word
    others: tuple[Word, ...]


def settle(words: Mapping[Content, Iterable[Word]], task: str) -> dict[Content, Settled]:
    """Decide which word counts for each content. The task says which contradict each other.

    Contents whose words agree have no `others`; those without a word are left out. Who answered the
    question of a labelling batch has settled what was said before.
    """
    differs, read = annotating(task).contradicts, annotating(task).labels
    found = {}
    for content, said in words.items():
        ranked = sorted(_newest_of_each(said), key=lambda word: word.rank, reverse=True)
        if not ranked:
            continue
        best = ranked[0]
        others = (word for word in ranked if differs(read(best.label), read(word.label)))
        if best.origin == Purpose.CONFLICTS.value:
            others = (word for word in others if word.annotation_id > best.annotation_id)
        found[content] = Settled(best, tuple(others))
    return found


def counting(words: Mapping[Word, Part], task: str) -> list[Word]:
    """Return the words about one content that count for any moment of it.

    They come in the order in which they count: said in turn, each over those before it, they say of
    every moment what `settle` decides.
    """
    if len(words) == 1:
        return list(words)
    times = sorted({time_s for part in words.values() for time_s in part})
    places = {time_s: place for place, time_s in enumerate(times)}
    said: dict[Content, list[Word]] = {("", place): [] for place, _ in enumerate(pairwise(times))}
    for word, (start_s, end_s) in words.items():
        for place in range(places[start_s], places[end_s]):
            said["", place].append(word)
    found = {settled.counts for settled in settle(said, task).values()}
    return sorted(found, key=lambda word: word.rank)


def _newest_of_each(words: Iterable[Word]) -> list[Word]:
    """Return each person's newest word about each file."""
    by_person: dict[tuple[UUID, str], list[Word]] = defaultdict(list)
    for word in words:
        by_person[word.media_id, word.speaker].append(word)
    return [max(said, key=lambda word: word.annotation_id) for said in by_person.values()]
