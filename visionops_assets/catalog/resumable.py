"""The state of uploads in parts, in the catalog. Runs on an event loop, like `uploads.py`."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from visionops_assets.catalog.uploads import Connection
from visionops_assets.errors import NotFoundError, QuotaExceededError, ResumableConflictError

QUOTA_RETRY_AFTER_S = 60


@dataclass(frozen=True)
class ResumableState:
    """The state of a resumable upload: `offset_bytes` of `total_bytes` are stored.

    The offset reaches the total with the acknowledgement, and not before.
    """

    upload_id: UUID
    total_bytes: int
    offset_bytes: int
    description: dict[str, Any]
    receipt: dict[str, Any] | None
    expires_at: datetime


@dataclass(frozen=True)
class Quota:
    """The most that one key may have open at once: uploads, and bytes of the files they become."""

    uploads: int
    bytes: int


# The offset is that of the newest part: it is stored once, with the part, and no row is rewritten.
_STATE = (
    "SELECT upload_id, total_bytes, CASE WHEN receipt IS NULL THEN"
    " coalesce((SELECT max(end_offset) FROM resumable_part AS part"
    " WHERE part.upload_id = resumable_upload.upload_id), 0)"
    " ELSE total_bytes END AS offset_bytes, description, receipt, expires_at"
    " FROM resumable_upload WHERE upload_id = %s AND owner = %s AND expires_at > now()"
)
RENEWED_AFTER = 0.1
"""Share of its time after which a part renews an upload: else each would rewrite its row."""


async def create(
    connection: Connection,
    upload_id: UUID,
    owner: str,
    total_bytes: int,
    description: dict[str, Any],
    keep_s: float,
    quota: Quota,
) -> None:
    """Begin an upload, in a transaction.

    Raises:
        QuotaExceededError: its owner has too many open, or too large ones.
    """
    # Two that begin at once would each find room for one more.
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('resumable ' || %s::text, 0))", (owner,)
    )
    found = await connection.execute(
        "SELECT count(*), coalesce(sum(total_bytes), 0)::bigint FROM resumable_upload"
        " WHERE owner = %s AND receipt IS NULL AND expires_at > now()",
        (owner,),
    )
    uploads, open_bytes = await found.fetchone() or (0, 0)
    if uploads >= quota.uploads or open_bytes + total_bytes > quota.bytes:
        raise QuotaExceededError(
            f"This key has {uploads:,} uploads of {open_bytes:,} bytes open. It may have "
            f"{quota.uploads:,} of {quota.bytes:,} bytes: end or delete some.",
            QUOTA_RETRY_AFTER_S,
        )
    await connection.execute(
        "INSERT INTO resumable_upload (upload_id, owner, total_bytes, description, expires_at)"
        " VALUES (%s, %s, %s, %s, now() + %s * interval '1 second')",
        (upload_id, owner, total_bytes, Jsonb(description), keep_s),
    )


async def get(connection: Connection, upload_id: UUID, owner: str) -> ResumableState:
    """Return an upload of this owner.

    Raises:
        NotFoundError: it does not exist, or has expired.
    """
    found = await connection.execute(_STATE, (upload_id, owner))
    row = await found.fetchone()
    if row is None:
        raise NotFoundError(f"There is no resumable upload {upload_id}, or it has expired.")
    return ResumableState(*row)


async def append(
    connection: Connection, state: ResumableState, part_key: str, part_bytes: int, keep_s: float
) -> ResumableState:
    """Note a part that was stored after those of `state`; return the new state.

    Raises:
        ResumableConflictError: another request was faster, or the upload is gone.
    """
    end_offset = state.offset_bytes + part_bytes
    # The lock waits for one that completes or forgets the upload, and then sees that it is so.
    added = await connection.execute(
        "INSERT INTO resumable_part (upload_id, start_offset, end_offset, object_key)"
        " SELECT upload_id, %s, %s, %s FROM resumable_upload"
        " WHERE upload_id = %s AND receipt IS NULL AND expires_at > now() FOR KEY SHARE"
        " ON CONFLICT DO NOTHING RETURNING upload_id",
        (state.offset_bytes, end_offset, part_key, state.upload_id),
    )
    if await added.fetchone() is None:
        raise _conflict()
    renewed = await connection.execute(
        "UPDATE resumable_upload SET expires_at = now() + %s * interval '1 second'"
        " WHERE upload_id = %s AND expires_at < now() + %s * interval '1 second'"
        " RETURNING expires_at",
        (keep_s, state.upload_id, keep_s * (1 - RENEWED_AFTER)),
    )
    row = await renewed.fetchone()
    return replace(state, offset_bytes=end_offset, expires_at=row[0] if row else state.expires_at)


async def part_keys(connection: Connection, state: ResumableState) -> list[str]:
    """Return the object keys of the parts of `state`, in the order of their bytes.

    Raises:
        ResumableConflictError: they are no longer all: another request went on, or completed it.
    """
    found = await connection.execute(
        "SELECT object_key, end_offset FROM resumable_part WHERE upload_id = %s"
        " ORDER BY start_offset",
        (state.upload_id,),
    )
    parts = await found.fetchall()
    if (parts[-1][1] if parts else 0) != state.offset_bytes:
        raise _conflict()
    return [key for key, _ in parts]


async def lock(connection: Connection, state: ResumableState) -> dict[str, Any] | None:
    """Lock the upload for this transaction; return the receipt that it got meanwhile, if any.

    Raises:
        ResumableConflictError: its offset is no longer that of `state`.
    """
    found = await connection.execute(
        "SELECT receipt FROM resumable_upload"
        " WHERE upload_id = %s AND expires_at > now() FOR UPDATE",
        (state.upload_id,),
    )
    row = await found.fetchone()
    if row is None:
        raise _conflict()
    receipt: dict[str, Any] | None = row[0]
    # Asked only now that nobody can add a part any more.
    if receipt is None and await _end(connection, state.upload_id) != state.offset_bytes:
        raise _conflict()
    return receipt


async def _end(connection: Connection, upload_id: UUID) -> int:
    found = await connection.execute(
        "SELECT coalesce(max(end_offset), 0) FROM resumable_part WHERE upload_id = %s",
        (upload_id,),
    )
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def complete(connection: Connection, upload_id: UUID, receipt: dict[str, Any]) -> None:
    """Note the receipt of an upload, in the transaction that acknowledges it."""
    await connection.execute("DELETE FROM resumable_part WHERE upload_id = %s", (upload_id,))
    await connection.execute(
        "UPDATE resumable_upload SET offset_bytes = total_bytes, receipt = %s WHERE upload_id = %s",
        (Jsonb(receipt), upload_id),
    )


async def refuse(connection: Connection, state: ResumableState) -> None:
    """Forget an upload whose content is refused.

    Raises:
        ResumableConflictError: another request went on with it, or completed it: it stays.
    """
    if await lock(connection, state) is not None:
        raise _conflict()
    await delete(connection, state.upload_id)


async def delete(connection: Connection, upload_id: UUID) -> None:
    """Forget an upload."""
    await connection.execute("DELETE FROM resumable_upload WHERE upload_id = %s", (upload_id,))


def _conflict() -> ResumableConflictError:
    return ResumableConflictError(
        "Another request went on with this upload. Ask with HEAD where it stands."
    )
