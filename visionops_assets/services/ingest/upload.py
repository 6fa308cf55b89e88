"""One upload, from its bytes to its acknowledgement: intent, object, state with event.

A crash between any two steps loses nothing that was acknowledged and announces nothing twice. It
may leave an intent row whose lease runs out, and the object of its key. The sweep removes both.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation

from visionops_assets.catalog.uploads import (
    Connection,
    Deposit,
    Description,
    Settled,
    UploadLedger,
    add_differing_label,
    settle,
)
from visionops_assets.contracts import MediaKind, Record
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import ServerUnreachableError, UploadExpiredError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.measuring import MeasuredUpload
from visionops_assets.services.ingest.video_check import VideoCheck
from visionops_assets.settings import Settings

SETTLE_ATTEMPTS = 5
RENEWALS_A_LEASE = 3

_log = logging.getLogger(__name__)


class Memory(Protocol):
    """Adds to the transaction of an acknowledgement, so that nothing is done twice."""

    async def recall(self, connection: Connection) -> list[UploadReceipt] | None:
        """Return the answer that was given before, if this request is a repetition."""

    async def remember(self, connection: Connection, receipts: list[UploadReceipt]) -> None:
        """Keep the answer."""


class Acknowledgement(Record):
    """The answer to a request: a receipt for each of its files, and whether it was given before."""

    receipts: list[UploadReceipt]
    replayed: bool = False


class Uploads:
    """Takes uploads in. One for the process."""

    def __init__(
        self, settings: Settings, ledger: UploadLedger, store: ObjectStore, videos: VideoCheck
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._store = store
        self._videos = videos
        self._under_way: set[UUID] = set()

    async def keep_leases(self) -> None:
        """Renew the leases of the uploads under way, for ever."""
        while True:
            await asyncio.sleep(self._settings.upload_lease_s / RENEWALS_A_LEASE)
            asked = set(self._under_way)
            try:
                self._under_way -= asked - await self._ledger.renew(asked)
            except ServerUnreachableError as error:
                _log.warning("leases were not renewed: %s", error)

    async def deposit(self, body: AsyncIterator[bytes]) -> Deposit:
        """Store and check the bytes of one file. The caller acknowledges or discards the result.

        Raises:
            MediaError: the content is refused; nothing is left of it.
            ServerUnreachableError: remains are found when the lease has run out.
            VisionOpsError: of the body; nothing is left of it.
        """
        media_id = uuid4()
        object_key = f"media/{datetime.now(UTC):%Y/%m/%d}/{media_id}"
        await self._ledger.open_intent(media_id, object_key)
        self._under_way.add(media_id)
        crash_point(CrashPoint.UPLOAD_INTENT_COMMITTED)
        try:
            upload = MeasuredUpload(
                self._while_leased(media_id, body),
                max_bytes=self._settings.max_upload_bytes,
                max_pixels=self._settings.max_image_pixels,
            )
            await self._put(object_key, upload)
            crash_point(CrashPoint.UPLOAD_OBJECT_STORED)
            content = upload.content()
            if content.kind is MediaKind.VIDEO:
                await self._videos.check(object_key, content.bytes)
        except ServerUnreachableError:
            # The object may still appear after a deletion: its row stays, for the sweep to find it.
            self._under_way.discard(media_id)
            raise
        except BaseException:
            # A cancelled request, too, must leave nothing.
            await asyncio.shield(self._discard(media_id, object_key))
            raise
        return Deposit(media_id, object_key, content)

    async def discard(self, deposit: Deposit) -> None:
        """Remove a stored file that will not be acknowledged."""
        await self._discard(deposit.media_id, deposit.object_key)

    async def acknowledge(
        self,
        deposits: Sequence[tuple[Deposit, Description]],
        memory: Memory | None = None,
    ) -> Acknowledgement:
        """Mark files as stored and announce them, in one transaction, or find them known.

        Raises:
            ServerUnreachableError: not acknowledged. To send the request again is safe.
            UploadExpiredError: not acknowledged, a lease ran out.
            ForbiddenError: a file is known by another label, which the sender may not change.
            VisionOpsError: of `memory`; nothing is acknowledged, and nothing is left.
        """
        try:
            answer, kept = await self._settle_all(deposits, memory)
        except ServerUnreachableError:
            # The commit may have succeeded: the objects stay, and the sweep decides by the rows.
            self._under_way -= {deposit.media_id for deposit, _ in deposits}
            raise
        except BaseException:
            await asyncio.shield(self._discard_all(deposits))
            raise
        crash_point(CrashPoint.UPLOAD_ACKNOWLEDGED)
        self._under_way -= kept
        await self._discard_all([pair for pair in deposits if pair[0].media_id not in kept])
        return answer

    async def _settle_all(
        self, deposits: Sequence[tuple[Deposit, Description]], memory: Memory | None
    ) -> tuple[Acknowledgement, set[UUID]]:
        """Return the answer, and the ids of the deposits that became media files."""
        for _ in range(SETTLE_ATTEMPTS - 1):
            # Another request may store the same bytes, or give the same key, in between: the next
            # attempt finds them.
            with suppress(UniqueViolation):
                return await self._try_to_settle_all(deposits, memory)
        return await self._try_to_settle_all(deposits, memory)

    async def _try_to_settle_all(
        self, deposits: Sequence[tuple[Deposit, Description]], memory: Memory | None
    ) -> tuple[Acknowledgement, set[UUID]]:
        is_one_statement = memory is None and len(deposits) == 1 and not deposits[0][1].label
        lend = self._ledger.connection if is_one_statement else self._ledger.transaction
        async with lend() as connection:
            if memory and (before := await memory.recall(connection)) is not None:
                return Acknowledgement(receipts=before, replayed=True), set()
            settled: dict[UUID, Settled] = {}
            # The order is the same everywhere: otherwise two batches could wait for each other.
            for deposit, description in sorted(deposits, key=_sha256_of):
                settled[deposit.media_id] = await self._settle(connection, deposit, description)
            receipts = [_receipt(deposit, settled[deposit.media_id]) for deposit, _ in deposits]
            if memory:
                await memory.remember(connection, receipts)
        kept = {outcome.media_id for outcome in settled.values() if not outcome.duplicate}
        return Acknowledgement(receipts=receipts), kept

    async def _settle(
        self, connection: Connection, deposit: Deposit, description: Description
    ) -> Settled:
        outcome = await settle(connection, deposit, description, self._settings.kafka_media_topic)
        if outcome.duplicate and description.label:
            await add_differing_label(
                connection,
                outcome.media_id,
                description.label,
                description.uploaded_by,
                may_relabel=description.may_relabel,
            )
        return outcome

    async def _put(self, object_key: str, upload: MeasuredUpload) -> None:
        chunks = upload.chunks()
        first = await anext(chunks)
        second = await anext(chunks, None)
        if second is None:
            # A stream takes three requests to the store, a small object only one.
            await self._store.put_async(object_key, first)
        else:
            await self._store.put_stream_async(object_key, _chain(first, second, chunks))

    async def _while_leased(
        self, media_id: UUID, body: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Stop writing an upload that the sweep has given up: its row may be gone already."""
        async for piece in body:
            if media_id not in self._under_way:
                raise UploadExpiredError("The upload lost its lease. Upload the file again.")
            yield piece

    async def _discard_all(self, deposits: Sequence[tuple[Deposit, Description]]) -> None:
        for deposit, _ in deposits:
            await self.discard(deposit)

    async def _discard(self, media_id: UUID, object_key: str) -> None:
        """Remove the object, then the row that knows its key; keep the row if that fails."""
        self._under_way.discard(media_id)
        try:
            await self._store.delete_async(object_key)
            crash_point(CrashPoint.UPLOAD_OBJECT_DISCARDED)
            await self._ledger.forget(media_id)
        except ServerUnreachableError as error:
            _log.warning("upload %s is left to its lease: %s", media_id, error)


def _sha256_of(pair: tuple[Deposit, Description]) -> str:
    return pair[0].content.sha256


def _receipt(deposit: Deposit, outcome: Settled) -> UploadReceipt:
    return UploadReceipt(
        media_id=outcome.media_id,
        sha256=deposit.content.sha256,
        kind=deposit.content.kind,
        bytes=deposit.content.bytes,
        duplicate=outcome.duplicate,
        status=outcome.status,
    )


async def _chain(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    yield second
    async for chunk in rest:
        yield chunk
