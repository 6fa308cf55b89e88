"""Uploads that go on after an interruption: stored in parts, joined once the last part is there.

Parts are objects of their own under `uploads/<upload_id>/`, so that any replica can take the next
one, and parts from before a crash are kept. The last part is counted only in the transaction that
acknowledges the file: no client is told "complete" while the file might still be lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

from visionops_assets.catalog import resumable
from visionops_assets.catalog.resumable import Quota, ResumableState
from visionops_assets.catalog.uploads import Connection, UploadLedger
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import (
    EmptyMediaError,
    ForbiddenError,
    InvalidLengthError,
    InvalidRequestError,
    MediaError,
    NotFoundError,
    ResumableConflictError,
    SlowBodyError,
    TooLargeError,
    VisionOpsError,
)
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.access import Principal
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.services.ingest.fields import UploadQuery
from visionops_assets.services.ingest.measuring import in_chunks
from visionops_assets.services.ingest.upload import Uploads
from visionops_assets.settings import Settings
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

PART_BYTES = 8 * 1024**2
"""The bytes that one upload holds in memory. A killed process loses no more than that."""


class ResumableUploads:
    """Takes resumable uploads in. One for the process."""

    def __init__(
        self,
        settings: Settings,
        ledger: UploadLedger,
        store: ObjectStore,
        deposits: Deposits,
        uploads: Uploads,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._store = store
        self._deposits = deposits
        self._uploads = uploads
        self._quota = Quota(settings.resumable_max_open, settings.resumable_max_open_bytes)

    async def create(self, owner: str, total_bytes: int, fields: UploadQuery) -> ResumableState:
        """Begin an upload.

        Raises:
            EmptyMediaError: it would have no bytes.
            TooLargeError: it would have more than a file may.
            QuotaExceededError: its owner has too many open.
        """
        if total_bytes == 0:
            raise EmptyMediaError("The file is empty. Upload an image or a video.")
        if total_bytes > self._settings.max_upload_bytes:
            raise TooLargeError(
                f"The file has more than {self._settings.max_upload_bytes:,} bytes."
            )
        upload_id, keep_s = uuid4(), self._settings.resumable_expiry_s
        said = fields.model_dump(mode="json", exclude_unset=True)
        async with self._ledger.transaction() as connection:
            await resumable.create(
                connection, upload_id, owner, total_bytes, said, keep_s, self._quota
            )
            return await resumable.get(connection, upload_id, owner)

    async def state(self, upload_id: UUID, owner: str) -> ResumableState:
        """Return the state of an upload.

        Raises:
            NotFoundError: the owner has no such upload, or it has expired.
        """
        async with self._ledger.transaction() as connection:
            return await resumable.get(connection, upload_id, owner)

    async def write(
        self, state: ResumableState, sender: Principal, body: AsyncIterator[bytes]
    ) -> ResumableState:
        """Store the next bytes of an upload, also those that came before an interruption.

        Raises:
            MediaError: the file is refused; the upload is gone.
            ForbiddenError: it is known by another label, which may not be changed; the same.
            ResumableConflictError: another request went on with the upload.
            InvalidLengthError: the body was cut off; the bytes that came are kept.
            SlowBodyError: the same.
            InvalidRequestError: it was too little; nothing of it is kept.
        """
        received = _Interruptible(body)
        began_at = state.offset_bytes
        try:
            async for part in in_chunks(received.pieces(), PART_BYTES):
                if state.offset_bytes == began_at and self._is_too_small(state, part):
                    raise received.interruption or self._too_small()
                state = await self._take(state, sender, part)
        except (MediaError, ForbiddenError):
            await self._refuse(state)
            raise
        if received.interruption:
            raise received.interruption
        return state

    async def delete(self, state: ResumableState) -> None:
        """Forget an upload and its parts; the media file that it became stays."""
        await self._delete_parts(state.upload_id)
        async with self._ledger.transaction() as connection:
            await resumable.delete(connection, state.upload_id)

    async def _refuse(self, state: ResumableState) -> None:
        async with self._ledger.transaction() as connection:
            await resumable.refuse(connection, state)
        await self._delete_parts(state.upload_id)

    def _is_too_small(self, state: ResumableState, part: bytes) -> bool:
        """Say whether these bytes are too few for an object and a row: their sender comes again."""
        is_last = state.offset_bytes + len(part) == state.total_bytes
        return not is_last and len(part) < self._settings.resumable_min_part_bytes

    def _too_small(self) -> InvalidRequestError:
        return InvalidRequestError(
            f"Send at least {self._settings.resumable_min_part_bytes:,} bytes per request, but for "
            "the last one."
        )

    async def _take(self, state: ResumableState, sender: Principal, part: bytes) -> ResumableState:
        is_last = state.offset_bytes + len(part) == state.total_bytes
        if state.offset_bytes == 0 and (is_last or len(part) >= SNIFF_BYTES):
            sniff(part[:SNIFF_BYTES])  # Otherwise a client might send gigabytes before a refusal.
        key = f"{_prefix(state.upload_id)}{uuid4()}"
        await self._store.put_async(key, part)
        crash_point(CrashPoint.RESUMABLE_PART_STORED)
        try:
            if is_last:
                return await self._complete(state, sender, key)
            async with self._ledger.transaction() as connection:
                return await resumable.append(
                    connection, state, key, len(part), self._settings.resumable_expiry_s
                )
        except (ResumableConflictError, MediaError, ForbiddenError):
            await self._store.delete_async(key)
            raise

    async def _complete(
        self, state: ResumableState, sender: Principal, last_key: str
    ) -> ResumableState:
        fields = UploadQuery.model_validate(state.description, extra="ignore")
        async with self._ledger.connection() as connection:
            part_keys = [*await resumable.part_keys(connection, state), last_key]
        deposit = await self._deposits.store(self._joined(part_keys))
        content_type = deposit.content.content_type
        description = fields.describe(fields.filename, content_type, sender)
        await self._uploads.acknowledge([(deposit, description)], _Completion(state))
        crash_point(CrashPoint.RESUMABLE_COMPLETED)
        await self._delete_parts(state.upload_id)
        return await self.state(state.upload_id, sender.name)

    async def _joined(self, part_keys: Sequence[str]) -> AsyncIterator[bytes]:
        for key in part_keys:
            try:
                yield await self._store.get_async(key)
            except NotFoundError:
                raise ResumableConflictError(
                    "Another request ended this upload. Ask with HEAD where it stands."
                ) from None

    async def _delete_parts(self, upload_id: UUID) -> None:
        """Delete the parts. After a failure, the sweep deletes the rest."""
        for key in await asyncio.to_thread(self._store.list_keys, _prefix(upload_id)):
            await self._store.delete_async(key)


class _Completion:
    """Keeps the receipt with the upload; an `upload.Memory`."""

    def __init__(self, state: ResumableState) -> None:
        self._state = state

    async def recall(self, connection: Connection) -> list[UploadReceipt] | None:
        """Return the receipt, if another request completed the same upload."""
        receipt = await resumable.lock(connection, self._state)
        return None if receipt is None else [UploadReceipt.model_validate(receipt)]

    async def remember(self, connection: Connection, receipts: list[UploadReceipt]) -> None:
        """Keep the receipt."""
        (receipt,) = receipts
        await resumable.complete(connection, self._state.upload_id, receipt.model_dump(mode="json"))


class _Interruptible:
    """A body that ends where it was cut off, and tells that afterwards."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.interruption: VisionOpsError | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes that come."""
        try:
            async for piece in self._body:
                yield piece
        except (InvalidLengthError, SlowBodyError) as error:
            self.interruption = error


def _prefix(upload_id: UUID) -> str:
    return f"uploads/{upload_id}/"
