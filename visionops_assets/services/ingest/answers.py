"""What ingest answers."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from visionops_assets.contracts import MediaKind, MediaStatus, Record


class UploadReceipt(Record):
    """Acknowledges one file: it is stored, under this id, and will be processed.

    `duplicate` says that this source had sent the same bytes before; `status` is that of the file
    which holds them.
    """

    media_id: UUID
    sha256: str
    kind: MediaKind
    bytes: int
    duplicate: bool
    status: MediaStatus


class Refusal(Record):
    """Why one file of a batch was refused: a problem's status, code and detail."""

    status: int
    code: str
    detail: str


class BatchResult(Record):
    """What became of one file of a batch: it has a receipt or a refusal."""

    filename: str | None
    receipt: UploadReceipt | None
    refusal: Refusal | None


class BatchAnswer(Record):
    """Answer to a batch: one result a file, in the order of the files."""

    results: list[BatchResult]


class FrameSummary(Record):
    """One processed frame; `time_s` counts from the start of the video."""

    frame_id: UUID
    index: int
    time_s: float
    spec_id: str


class Reason(Record):
    """Why a media file is in quarantine."""

    code: str
    detail: str


class MediaState(Record):
    """What became of one media file."""

    media_id: UUID
    status: MediaStatus
    kind: MediaKind
    content_type: str
    name_mismatch: bool
    sha256: str
    bytes: int
    source: str
    filename: str | None
    captured_at: datetime
    reason: Reason | None
    label: str | None
    frames: list[FrameSummary]


class Stats(Record):
    """Counts over the whole catalog."""

    media: Mapping[MediaStatus, int]
    frames: int
