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


class Refusal(TolerantRecord):
    """Why one file of several was refused."""

    status: int
    code: str
    detail: str


class FileResult(TolerantRecord):
    """The result of one file of several: a receipt or a refusal."""

    receipt: Receipt | None = None
    refusal: Refusal | None = None


class SeveralResults(TolerantRecord):
    """The results of several files, in their order."""

    results: list[FileResult]


class BegunUpload(TolerantRecord):
    """A resumable upload that has no bytes yet."""

    upload_id: UUID


class FinishedUpload(TolerantRecord):
    """A resumable upload that has all its bytes."""

    receipt: Receipt
