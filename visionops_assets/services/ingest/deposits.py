"""The bytes of uploads on their way to the store: an intent, then an object, under a lease.

A crash between any two steps may leave an intent row whose lease runs out, and the object of its
key. The sweep removes both.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from visionops_assets.catalog.uploads import Deposit, UploadLedger
from visionops_assets.contracts import MediaKind
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import MediaError, ServerUnreachableError, UploadExpiredError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.ingest.measuring import MeasuredUpload
from visionops_assets.services.ingest.video_check import VideoCheck
from visionops_assets.settings import Settings

RENEWALS_A_LEASE = 3

_log = logging.getLogger(__name__)


class Deposits:
    """Stores the bytes of uploads, and keeps the leases of those under way. One for the process."""

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

    async def store(self, body: AsyncIterator[bytes]) -> Deposit:
        """Store and check the bytes of one file. The caller acknowledges or discards the result.

        Raises:
            MediaError: the content is refused; nothing is left of it.
            ServerUnreachableError: remains are found when the lease has run out.
            VisionOpsError: of the body; nothing is left of it.
        """
        (place,) = await self._open_intents(1)
        return await self._fill(*place, body)

    async def store_all(self, files: Sequence[bytes]) -> list[Deposit | MediaError]:
        """Store and check several small files at once. Each has its deposit, or why it is refused.

        Raises:
            ServerUnreachableError: remains are found when the leases have run out.
        """
        places = await self._open_intents(len(files))
        filling = [
            asyncio.ensure_future(self._fill(*place, _in_one_piece(data)))
            for place, data in zip(places, files, strict=True)
        ]
        try:
            outcomes = await asyncio.gather(*filling, return_exceptions=True)
            return [_deposit_or_refusal(outcome) for outcome in outcomes]
        except BaseException:
            stored = [
                each.result() for each in filling if not (each.cancelled() or each.exception())
            ]
            await asyncio.shield(self.discard(stored))
            raise

    async def discard(self, deposits: Iterable[Deposit]) -> None:
        """Remove stored files that will not be acknowledged."""
        for deposit in deposits:
            await self._discard(deposit.media_id, deposit.object_key)

    def end_leases(self, media_ids: Iterable[UUID]) -> None:
        """Renew these no more: they are acknowledged, or nobody knows."""
        self._under_way -= set(media_ids)

    async def _open_intents(self, files: int) -> list[tuple[UUID, str]]:
        """Choose the media id and the key of each file, and note them."""
        folder = f"media/{datetime.now(UTC):%Y/%m/%d}"
        keys = {(media_id := uuid4()): f"{folder}/{media_id}" for _ in range(files)}
        await self._ledger.open_intents(keys)
        self._under_way |= keys.keys()
        crash_point(CrashPoint.UPLOAD_INTENT_COMMITTED)
        return list(keys.items())

    async def _fill(self, media_id: UUID, object_key: str, body: AsyncIterator[bytes]) -> Deposit:
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

    async def _discard(self, media_id: UUID, object_key: str) -> None:
        """Remove the object, then the row that knows its key; keep the row if that fails."""
        self._under_way.discard(media_id)
        try:
            await self._store.delete_async(object_key)
            crash_point(CrashPoint.UPLOAD_OBJECT_DISCARDED)
            await self._ledger.forget(media_id)
        except ServerUnreachableError as error:
            _log.warning("upload %s is left to its lease: %s", media_id, error)


def _deposit_or_refusal(outcome: Deposit | BaseException) -> Deposit | MediaError:
    if isinstance(outcome, Deposit | MediaError):
        return outcome
    raise outcome


async def _in_one_piece(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _chain(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    yield second
    async for chunk in rest:
        yield chunk
