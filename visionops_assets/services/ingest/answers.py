"""The answers of ingest."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from visionops_assets.contracts import MediaKind, MediaStatus, Record, TolerantRecord

_RECEIPT = {
    "media_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "kind": "image",
    "bytes": 48213,
    "duplicate": False,
    "status": "stored",
}
_REFUSAL = {"status": 422, "code": "empty", "detail": "The file is empty."}


class UploadReceipt(TolerantRecord, json_schema_extra={"examples": [_RECEIPT]}):
    """Acknowledges one file: it is stored, under this id, and will be processed.

    `duplicate` says that this source had sent the same bytes before; `status` is then that of the
    earlier file.
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
    """The result of one file of a batch: a receipt or a refusal."""

    filename: str | None
    receipt: UploadReceipt | None = None
    refusal: Refusal | None = None


_RESULTS = [
    {"filename": "street.jpg", "receipt": _RECEIPT},
    {"filename": "empty.jpg", "refusal": _REFUSAL},
]


class BatchAnswer(Record, json_schema_extra={"examples": [{"results": _RESULTS}]}):
    """Answer to a batch: one result per file, in the order of the files."""

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


_PROCESSING = {
    "spec_id": "pp-3f2a9c01d4e5",
    "parameters": {"size_px": 64, "colour": "rgb", "resize": "letterbox"},
    "status": "processed",
    "frames": 1,
    "milliseconds": 3.8,
    "decoder": "opencv-python-headless 5.0.0.93",
    "processed_at": "2026-01-31T12:00:07Z",
}


class ProcessingState(Record, json_schema_extra={"examples": [_PROCESSING]}):
    """How a file was processed by one spec, and what came of it.

    `parameters` are those of the spec. They, the time and the decoder are null where an earlier
    version processed the file, which did not note them.
    """

    spec_id: str
    parameters: Mapping[str, Any] | None
    status: MediaStatus
    reason: Reason | None = None
    frames: int
    milliseconds: float | None
    decoder: str | None
    processed_at: datetime


_MEDIA = {
    **{name: _RECEIPT[name] for name in ("media_id", "sha256", "kind", "bytes")},
    "status": "processed",
    "content_type": "image/jpeg",
    "name_mismatch": False,
    "object_key": "media/2026/01/31/0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d.1",
    "source": "gate-7",
    "filename": "street.jpg",
    "captured_at": "2026-01-31T12:00:00Z",
    "label": "car",
    "frames": [
        {
            "frame_id": "0199a3f2-9d70-7c61-8f0e-5b1f6f3f1a2b",
            "index": 0,
            "time_s": 0.0,
            "spec_id": "pp-3f2a9c01d4e5",
        }
    ],
    "processing": [_PROCESSING],
}


class MediaState(Record, json_schema_extra={"examples": [_MEDIA]}):
    """The state of one media file; `object_key` is its path in the object store."""

    media_id: UUID
    status: MediaStatus
    kind: MediaKind
    content_type: str
    name_mismatch: bool
    sha256: str
    bytes: int
    object_key: str
    source: str
    filename: str | None
    captured_at: datetime
    reason: Reason | None = None
    label: str | None
    frames: list[FrameSummary]
    processing: list[ProcessingState]


_STATS = {
    "media": {"receiving": 0, "stored": 2, "queued": 5, "processed": 1437, "quarantined": 1},
    "frames": 1446,
}


class Stats(Record, json_schema_extra={"examples": [_STATS]}):
    """Counts over the whole catalog."""

    media: Mapping[MediaStatus, int]
    frames: int
