"""Takes a request to its acknowledgement: reads the body, and stores its files."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi import Request

from visionops_assets.catalog.uploads import Deposit, Description
from visionops_assets.errors import InvalidRequestError, MediaError
from visionops_assets.services.access import Principal
from visionops_assets.services.body import body_of
from visionops_assets.services.forms import FormReader, is_form
from visionops_assets.services.http_server import FORM_OVERHEAD_BYTES
from visionops_assets.services.ingest.answers import BatchAnswer, BatchResult, Refusal
from visionops_assets.services.ingest.fields import MediaFields, UploadQuery, display_name
from visionops_assets.services.ingest.repetition import RepeatedRequest
from visionops_assets.services.ingest.upload import Acknowledgement, Uploads
from visionops_assets.services.problems import detail_of, status_of
from visionops_assets.settings import Settings

MAX_BATCH_FILES = 500
MAX_BATCH_BODIES = 8
"""A batch may have this many times the bytes of the largest file."""
COUNTED_BYTES = 16 * 1024**2
"""A batch is held up to this size, and its files counted, before the first one is stored."""
MAX_COUNTING = 4
"""Number of batches that are held at once. The files of others are counted as they are stored."""


class _EnoughError(Exception):
    """A batch is longer than what is counted of it."""


@dataclass(frozen=True)
class ReceivedFile:
    """One file of a request: its place, or the reason of its refusal."""

    filename: str | None
    outcome: Deposit | MediaError


class Intake:
    """Takes media files out of requests."""

    def __init__(self, settings: Settings, uploads: Uploads) -> None:
        self._settings = settings
        self._uploads = uploads
        self._counting = 0

    async def one(
        self, request: Request, query: UploadQuery, sender: Principal, idempotency_key: str | None
    ) -> Acknowledgement:
        """Take in the one file of a raw body or of a form.

        Raises:
            VisionOpsError: nothing was acknowledged, and nothing is left.
        """
        if is_form(request):
            body = self._body(request, max_files=1)
            fields, files = await self._read_form(request, body, query, max_files=1)
        else:
            deposit = await self._uploads.deposit(self._body(request, max_files=1))
            fields, files = query, [ReceivedFile(query.filename, deposit)]
        refusal = files[0].outcome
        if isinstance(refusal, MediaError):
            raise refusal
        return await self._acknowledge(files, fields, sender, idempotency_key)

    async def batch(
        self, request: Request, query: MediaFields, sender: Principal, idempotency_key: str | None
    ) -> tuple[BatchAnswer, bool]:
        """Take in the files of a form; returns also whether the answer was given before.

        Raises:
            VisionOpsError: nothing was acknowledged, and nothing is left.
        """
        if not is_form(request):
            raise InvalidRequestError("A batch is a multipart form with a `file` for each file.")
        whole_body = self._body(request, max_files=MAX_BATCH_BODIES)
        async with self._counted(request, whole_body) as body:
            fields, files = await self._read_form(request, body, query, max_files=MAX_BATCH_FILES)
        answer = await self._acknowledge(files, fields, sender, idempotency_key)
        receipts = iter(answer.receipts)
        results = [
            BatchResult(
                filename=display_name(file.filename),
                receipt=next(receipts) if isinstance(file.outcome, Deposit) else None,
                refusal=_refusal(file.outcome) if isinstance(file.outcome, MediaError) else None,
            )
            for file in files
        ]
        return BatchAnswer(results=results), answer.replayed

    @asynccontextmanager
    async def _counted(
        self, request: Request, body: AsyncIterator[bytes]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the body of a batch, once as many of its files as are held have been counted.

        Storing takes longer than sending: one file too many should not be found after 500 of them.

        Raises:
            InvalidRequestError: there are more than `MAX_BATCH_FILES`, or it is no form.
        """
        if self._counting >= MAX_COUNTING:
            yield body
            return
        self._counting += 1
        held = deque[bytes]()
        try:
            form = FormReader(request.headers["content-type"], _held_back(body, held))
            files = 0
            with suppress(_EnoughError):
                while part := await form.next_part():
                    files += part.name == "file"
                    _require(files <= MAX_BATCH_FILES, f"there are more than {MAX_BATCH_FILES}")
            yield _from_the_first(held, body)
        finally:
            self._counting -= 1

    def _body(self, request: Request, max_files: int) -> AsyncIterator[bytes]:
        return body_of(
            request,
            max_bytes=max_files * self._settings.max_upload_bytes + FORM_OVERHEAD_BYTES,
            idle_timeout_s=self._settings.body_idle_timeout_s,
        )

    async def _read_form(
        self, request: Request, body: AsyncIterator[bytes], query: MediaFields, max_files: int
    ) -> tuple[MediaFields, list[ReceivedFile]]:
        """Store the files of a form as they come. Its other fields may come after them."""
        form = FormReader(request.headers["content-type"], body)
        texts: dict[str, str] = {}
        files: list[ReceivedFile] = []
        try:
            while part := await form.next_part():
                if part.name == "file":
                    _require(len(files) < max_files, f"there are more than {max_files}")
                    files.append(ReceivedFile(part.filename, await self._receive(form.chunks())))
                else:
                    texts[part.name] = await form.text(part)
            _require(bool(files), "no file came")
            return query.updated(texts), files
        except BaseException:
            await asyncio.shield(self._discard(files))
            raise

    async def _receive(self, content: AsyncIterator[bytes]) -> Deposit | MediaError:
        try:
            return await self._uploads.deposit(content)
        except MediaError as error:
            return error

    async def _acknowledge(
        self,
        files: Sequence[ReceivedFile],
        fields: MediaFields,
        sender: Principal,
        idempotency_key: str | None,
    ) -> Acknowledgement:
        accepted = [
            (file.outcome, _describe(file.filename, file.outcome, fields, sender))
            for file in files
            if isinstance(file.outcome, Deposit)
        ]
        memory = None
        if idempotency_key:
            sha256s = [
                file.outcome.content.sha256 if isinstance(file.outcome, Deposit) else None
                for file in files
            ]
            memory = RepeatedRequest(sender.name, idempotency_key, fields, sha256s)
        return await self._uploads.acknowledge(accepted, memory)

    async def _discard(self, files: Sequence[ReceivedFile]) -> None:
        for file in files:
            if isinstance(file.outcome, Deposit):
                await self._uploads.discard(file.outcome)


async def _held_back(body: AsyncIterator[bytes], held: deque[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a body and hold them, until there are more than `COUNTED_BYTES`."""
    left_bytes = COUNTED_BYTES
    async for piece in body:
        held.append(piece)
        left_bytes -= len(piece)
        if left_bytes < 0:
            raise _EnoughError
        yield piece


async def _from_the_first(held: deque[bytes], body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was held of a body, and what is still to come."""
    while held:
        yield held.popleft()
    async for piece in body:
        yield piece


def _require(fits: bool, problem: str) -> None:
    if not fits:
        raise InvalidRequestError(
            f"file: {problem}. Send one to POST /v1/media, several to POST /v1/media/batch."
        )


def _describe(
    filename: str | None, deposit: Deposit, fields: MediaFields, sender: Principal
) -> Description:
    return fields.describe(filename, deposit.content.content_type, sender)


def _refusal(error: MediaError) -> Refusal:
    return Refusal(status=status_of(error), code=error.code, detail=detail_of(error))
