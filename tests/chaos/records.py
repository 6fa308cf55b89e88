"""What is compared: answers that clients got, and what is in the catalog, the store, the queue."""

from dataclasses import dataclass
from uuid import UUID

from visionops_assets.contracts import MediaStatus

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""


@dataclass(frozen=True)
class Acknowledged:
    """One answer that acknowledges an upload. Times are Unix times in seconds."""

    media_id: UUID
    source: str
    sha256: str
    acknowledged_at_s: float
    is_decodable: bool
    idempotency_key: str | None = None
    answer: str = ""


@dataclass(frozen=True)
class KillRecord:
    """One process that died."""

    target: str
    killed_at_s: float


@dataclass(frozen=True)
class MediaRow:
    """One row of the catalog's `media`."""

    media_id: UUID
    status: MediaStatus
    source: str
    sha256: str | None
    object_key: str
    announcement: int
    processed_at_s: float | None


@dataclass(frozen=True)
class ConsumedRow:
    """One event that was taken from the queue."""

    event_id: UUID
    media_id: UUID
    place: Place


@dataclass(frozen=True)
class FrameRow:
    """One frame; `decodes` tells of the bytes at its place in the shard."""

    media_id: UUID
    spec_id: str
    decodes: bool


@dataclass(frozen=True)
class State:
    """Everything at rest. `sha256_by_key` is of the objects under `media/` as they were read."""

    media: tuple[MediaRow, ...] = ()
    consumed: tuple[ConsumedRow, ...] = ()
    frames: tuple[FrameRow, ...] = ()
    owed_events: frozenset[UUID] = frozenset()
    published_events: frozenset[UUID] = frozenset()
    queued_events: tuple[tuple[Place, UUID], ...] = ()
    dead_letters: int = 0
    sha256_by_key: tuple[tuple[str, str], ...] = ()
    part_keys: tuple[str, ...] = ()
    open_uploads: frozenset[UUID] = frozenset()
