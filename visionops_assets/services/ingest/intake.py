"""Takes a request to its acknowledgement: reads the body, and stores its files."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi import Request

from visionops_assets.catalog.uploads import Deposit, Description
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.services.http.access import Principal
from visionops_assets.services.http.body import body_of
from visionops_assets.services.http.forms import FormReader, is_form
from visionops_assets.services.http.problems import detail_of, status_of
from visionops_assets.services.http.server import FORM_OVERHEAD_BYTES
from visionops_assets.services.ingest.answers import BatchAnswer, BatchResult, Refusal
from visionops_assets.services.ingest.counting import (
    MAX_BATCH_FILES,
    Counting,
    require_at_most,
    require_files,
)
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.services.ingest.fields import MediaFields, UploadQuery, display_name
from visionops_assets.services.ingest.received import ReceivedFile, ReceivedFiles
from visionops_assets.services.ingest.repetition import RepeatedRequest
from visionops_assets.services.ingest.upload import Acknowledgement, Uploads
from visionops_assets.settings import Settings

MAX_BATCH_BODIES = 8
"""A batch may have this many times the bytes of the largest file."""


class Intake:
    """Takes media files out of requests."""

    def __init__(self, settings: Settings, deposits: Deposits, uploads: Uploads) -> None:
        self._settings = settings
        self._deposits = deposits
        self._uploads = uploads
        self._counting = Counting()

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
            deposit = await self._deposits.store(self._body(request, max_files=1))
            fields, files = query, [ReceivedFile(query.filename, deposit, query)]
        refusal = files[0].outcome
        if not isinstance(refusal, Deposit):
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
        content_type = request.headers["content-type"]
        async with self._counting.counted(content_type, whole_body) as body:
            fields, files = await self._read_form(request, body, query, max_files=MAX_BATCH_FILES)
        files = await self._without_forgotten(files)
        answer = await self._acknowledge(files, fields, sender, idempotency_key)
        receipts = iter(answer.receipts)
        results = [
            BatchResult(
                filename=display_name(file.filename),
                receipt=next(receipts) if isinstance(file.outcome, Deposit) else None,
                refusal=None if isinstance(file.outcome, Deposit) else _refusal(file.outcome),
            )
            for file in files
        ]
        return BatchAnswer(results=results), answer.replayed

    async def _without_forgotten(self, files: Sequence[ReceivedFile]) -> list[ReceivedFile]:
        """Refuse the files of a batch that were erased on request: each alone."""
        deposits = [file.outcome for file in files if isinstance(file.outcome, Deposit)]
        refused = await self._uploads.refused(deposits)
        return [
            replace(file, outcome=refused.get(file.outcome.media_id, file.outcome))
            if isinstance(file.outcome, Deposit)
            else file
            for file in files
        ]

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
        abouts: list[str] = []
        files = ReceivedFiles(self._deposits)
        try:
            while part := await form.next_part():
                if part.name == "file":
                    require_at_most(max_files, len(files) + 1)
                    await files.take(part.filename, form.chunks())
                elif part.name == "about" and max_files > 1:
                    abouts.append(await form.text(part))
                else:
                    texts[part.name] = await form.text(part)
            require_files(len(files) > 0, "no file came")
            _require_one_for_each(files, abouts)
            fields = query.updated(texts)
            return fields, await files.described(fields, abouts)
        except BaseException:
            await asyncio.shield(files.discard())
            raise

    async def _acknowledge(
        self,
        files: Sequence[ReceivedFile],
        fields: MediaFields,
        sender: Principal,
        idempotency_key: str | None,
    ) -> Acknowledgement:
        accepted = [
            (file.outcome, _describe(file, file.outcome, sender))
            for file in files
            if isinstance(file.outcome, Deposit)
        ]
        memory = None
        if idempotency_key:
            sha256s = [
                file.outcome.content.sha256 if isinstance(file.outcome, Deposit) else None
                for file in files
            ]
            own = [file.facts for file in files if file.facts is not fields]
            memory = RepeatedRequest(sender.name, idempotency_key, fields, sha256s, own)
        return await self._uploads.acknowledge(accepted, memory)


def _require_one_for_each(files: ReceivedFiles, abouts: Sequence[str]) -> None:
    if len(abouts) not in {0, len(files)}:
        raise InvalidRequestError("about: send none, or one for each file, in their order.")


def _describe(file: ReceivedFile, deposit: Deposit, sender: Principal) -> Description:
    return file.facts.describe(file.filename, deposit.content.content_type, sender)


def _refusal(error: VisionOpsError) -> Refusal:
    return Refusal(status=status_of(error), code=error.code, detail=detail_of(error))
