"""The answers of ingest, with the fields that clients need. Others are ignored."""

from uuid import UUID

from visionops_client.records import Answer


class Receipt(Answer):
    """The acknowledgement: these bytes are stored under this id, and will be processed."""

    media_id: UUID
    sha256: str
    kind: str
    bytes: int
    duplicate: bool
    status: str


class Refusal(Answer):
    """Why one file of several was refused."""

    status: int
    code: str
    detail: str


class FileResult(Answer):
    """The result of one file of several: a receipt or a refusal."""

    receipt: Receipt | None = None
    refusal: Refusal | None = None


class SeveralResults(Answer):
    """The results of several files, in their order."""

    results: list[FileResult]


class BegunUpload(Answer):
    """A resumable upload that has no bytes yet."""

    upload_id: UUID


class FinishedUpload(Answer):
    """A resumable upload that has all its bytes."""

    receipt: Receipt
