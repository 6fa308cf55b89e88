"""What a run notes: requests as they were sent, and what was killed. Times are monotonic."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.chaos.records import Acknowledged

HOST = "host"
"""The kind of a kill that takes a whole host."""


@dataclass(frozen=True)
class Attempt:
    """One request, sent once, to one of `pods`; `failure` says what went wrong."""

    door: str
    pods: frozenset[str]
    began_at_s: float
    ended_at_s: float
    failure: str | None = None


@dataclass(frozen=True)
class Kill:
    """Pods that died, from when to when, and when all of them were ready again."""

    kind: str
    pods: frozenset[str]
    began_at_s: float
    ended_at_s: float
    recovered_at_s: float | None = None


@dataclass(frozen=True)
class Answered:
    """One prediction that a client got."""

    prediction_id: UUID
    answered_at_s: float


@dataclass(frozen=True)
class Served:
    """The champion, and what each Triton that is there served: version, and probabilities.

    The probabilities are of one image; None of a Triton that does not answer.
    """

    champion: int
    answers: Sequence[tuple[int, Sequence[float]] | None]


@dataclass
class Seen:
    """What clients saw. `given_up` are those that did not get what they came for, however often."""

    attempts: list[Attempt] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    predictions: list[Answered] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    refused_connections: int = 0
    mixed: int = 0

    def attempts_of(self, door: str) -> Sequence[Attempt]:
        """Return those at one door."""
        return [attempt for attempt in self.attempts if attempt.door == door]
