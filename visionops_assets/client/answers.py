"""The answers of ingest, with the fields that clients need. Others are ignored."""

from uuid import UUID

from visionops_assets.contracts import MediaKind, MediaStatus, TolerantRecord


class Receipt(TolerantRecord):
    """The acknowledgement: these bytes are stored under this id, and will be processed."""

    media_id: UUID
    sha256: str
    kind: MediaKind
    bytes: int
    duplicate: bool
    status: MediaStatus


class BegunUpload(TolerantRecord):
    """A resumable upload that has no bytes yet."""

    upload_id: UUID


class FinishedUpload(TolerantRecord):
    """A resumable upload that has all its bytes."""

    receipt: Receipt
