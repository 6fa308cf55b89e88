"""One upload, from its bytes to its acknowledgement: intent, object, state with event.

A crash between any two steps loses nothing that was acknowledged and announces nothing twice.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from psycopg.errors import UniqueViolation

from visionops_assets.catalog.upload_labels import add_differing_label
from visionops_assets.catalog.uploads import (
    FORGOTTEN,
    Connection,
    Deposit,
    Description,
    Settled,
    UploadLedger,
    settle,
)
from visionops_assets.contracts import Record
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import ForgottenMediaError, ServerUnreachableError
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.settings import Settings

SETTLE_ATTEMPTS = 5


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
    """Acknowledges deposits. One for the process."""

    def __init__(self, settings: Settings, ledger: UploadLedger, deposits: Deposits) -> None:
        self._settings = settings
        self._ledger = ledger
        self._deposits = deposits

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
            self._deposits.end_leases(deposit.media_id for deposit, _ in deposits)
            raise
        except BaseException:
            await asyncio.shield(self._deposits.discard(deposit for deposit, _ in deposits))
            raise
        crash_point(CrashPoint.UPLOAD_ACKNOWLEDGED)
        self._deposits.end_leases(kept)
        await self._deposits.discard(
            deposit for deposit, _ in deposits if deposit.media_id not in kept
        )
        return answer

    async def refused(self, deposits: Sequence[Deposit]) -> dict[UUID, ForgottenMediaError]:
        """Discard those of several files that were erased on request; say so by media id."""
        gone = await self._ledger.forgotten({each.content.sha256 for each in deposits})
        again = [each for each in deposits if each.content.sha256 in gone]
        await self._deposits.discard(again)
        return {each.media_id: ForgottenMediaError(FORGOTTEN) for each in again}

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
        is_one_statement = (
            memory is None and len(deposits) == 1 and deposits[0][1].annotation is None
        )
        lend = self._ledger.connection if is_one_statement else self._ledger.transaction
        async with lend() as connection:
            if memory and (before := await memory.recall(connection)) is not None:
                return Acknowledgement(receipts=before, replayed=True), set()
            # The order is the same everywhere: otherwise two batches could wait for each other.
            ordered = sorted(deposits, key=_place_in_order)
            outcomes = await settle(connection, ordered, self._settings.kafka_media_topic)
            for outcome, (_, description) in zip(outcomes, ordered, strict=True):
                await _label_if_known(connection, outcome, description)
            settled = dict(zip((each.media_id for each, _ in ordered), outcomes, strict=True))
            receipts = [_receipt(deposit, settled[deposit.media_id]) for deposit, _ in deposits]
            if memory:
                await memory.remember(connection, receipts)
        kept = {outcome.media_id for outcome in outcomes if not outcome.duplicate}
        return Acknowledgement(receipts=receipts), kept


def _place_in_order(upload: tuple[Deposit, Description]) -> tuple[str, str]:
    deposit, description = upload
    return deposit.content.sha256, description.source


async def _label_if_known(
    connection: Connection, outcome: Settled, description: Description
) -> None:
    if outcome.duplicate and description.annotation is not None:
        await add_differing_label(connection, outcome.media_id, description)


def _receipt(deposit: Deposit, outcome: Settled) -> UploadReceipt:
    return UploadReceipt(
        media_id=outcome.media_id,
        sha256=deposit.content.sha256,
        kind=deposit.content.kind,
        bytes=deposit.content.bytes,
        duplicate=outcome.duplicate,
        status=outcome.status,
    )
