"""Media files, and their messages in the queue."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Base64Bytes, Field

from visionops_assets.contracts.base import TolerantRecord


class MediaKind(StrEnum):
    """The kind of a media file, by its decoded content."""

    IMAGE = "image"
    VIDEO = "video"


class MediaStatus(StrEnum):
    """Life of a media file: receiving, stored, queued, then processed or quarantined.

    A forgotten one was erased on request: its row stays, so that it does not come back.
    """

    RECEIVING = "receiving"
    STORED = "stored"
    QUEUED = "queued"
    PROCESSED = "processed"
    QUARANTINED = "quarantined"
    FORGOTTEN = "forgotten"


class MediaEvent(TolerantRecord):
    """Says that one media file is stored. Delivered at least once.

    `event_id` follows from the media id and the number of the announcement: an event that is
    published again is the same event, and a file that is processed again gets a new one.
    """

    schema_version: Literal[1] = 1
    event_id: UUID
    media_id: UUID
    object_key: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    kind: MediaKind
    content_type: str
    source: str
    captured_at: datetime
    stored_at: datetime


class DeadLetter(TolerantRecord):
    """A message that could not be handled: its place, its bytes (Base64), and the reason."""

    schema_version: Literal[1] = 1
    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    value: Base64Bytes
    code: str
    detail: str
    failed_at: datetime

    @property
    def place(self) -> str:
        """Name the letter by the place of its message: `<topic>-<partition>-<offset>`."""
        return f"{self.topic}-{self.partition}-{self.offset}"
