"""Uploads in parts, in the catalog: where each one stands. On an event loop, like `uploads.py`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from visionops_assets.catalog.uploads import Connection
from visionops_assets.errors import NotFoundError, ResumableConflictError


@dataclass(frozen=True)
class ResumableState:
    """Where a resumable upload stands: `offset_bytes` of `total_bytes` are stored.

    The offset reaches the total with the acknowledgement, and not before.
    """

    upload_id: UUID
    total_bytes: int
    offset_bytes: int
    part_keys: list[str]
    description: dict[str, Any]
    receipt: dict[str, Any] | None
    expires_at: datetime


async def create(
    connection: Connection,
    upload_id: UUID,
    owner: str,
    total_bytes: int,
    description: dict[str, Any],
    keep_s: float,
) -> None:
    """Begin an upload."""
    await connection.execute(
        "INSERT INTO resumable_upload"
        " (upload_id, owner, total_bytes, offset_bytes, part_keys, description, expires_at)"
        " VALUES (%s, %s, %s, 0, '[]', %s, now() + %s * interval '1 second')",
        (upload_id, owner, total_bytes, Jsonb(description), keep_s),
    )


async def get(connection: Connection, upload_id: UUID, owner: str) -> ResumableState:
    """Return an upload of this owner.

    Raises:
        NotFoundError: it does not exist, or has expired.
    """
    found = await connection.execute(
        "SELECT upload_id, total_bytes, offset_bytes, part_keys, description, receipt, expires_at"
        " FROM resumable_upload WHERE upload_id = %s AND owner = %s AND expires_at > now()",
        (upload_id, owner),
    )
    row = await found.fetchone()
    if row is None:
        raise NotFoundError(f"There is no resumable upload {upload_id}, or it has expired.")
    return ResumableState(*row)


async def append(
    connection: Connection, state: ResumableState, part_key: str, part_bytes: int, keep_s: float
) -> ResumableState:
    """Note a part that was stored after those of `state`; return where the upload stands now.

    Raises:
        ResumableConflictError: another request was faster, or the upload is no more.
    """
    changed = await connection.execute(
        "UPDATE resumable_upload SET offset_bytes = offset_bytes + %s, part_keys = part_keys || %s,"
        " expires_at = now() + %s * interval '1 second'"
        " WHERE upload_id = %s AND offset_bytes = %s AND receipt IS NULL"
        " AND expires_at > now()"
        " RETURNING upload_id, total_bytes, offset_bytes, part_keys, description, receipt,"
        " expires_at",
        (part_bytes, Jsonb([part_key]), keep_s, state.upload_id, state.offset_bytes),
    )
    row = await changed.fetchone()
    if row is None:
        raise _conflict()
    return ResumableState(*row)


async def lock(connection: Connection, state: ResumableState) -> dict[str, Any] | None:
    """Hold the upload for this transaction; return the receipt that it got meanwhile, if any.

    Raises:
        ResumableConflictError: it does not stand where it stood.
    """
    found = await connection.execute(
        "SELECT offset_bytes, receipt FROM resumable_upload"
        " WHERE upload_id = %s AND expires_at > now() FOR UPDATE",
        (state.upload_id,),
    )
    row = await found.fetchone()
    receipt: dict[str, Any] | None = row[1] if row else None
    if receipt is None and (row is None or row[0] != state.offset_bytes):
        raise _conflict()
    return receipt


async def complete(connection: Connection, upload_id: UUID, receipt: dict[str, Any]) -> None:
    """Note the receipt of an upload, in the transaction that acknowledges it."""
    await connection.execute(
        "UPDATE resumable_upload SET offset_bytes = total_bytes, receipt = %s WHERE upload_id = %s",
        (Jsonb(receipt), upload_id),
    )


async def delete(connection: Connection, upload_id: UUID) -> None:
    """Forget an upload. Its parts must be gone before."""
    await connection.execute("DELETE FROM resumable_upload WHERE upload_id = %s", (upload_id,))


def _conflict() -> ResumableConflictError:
    return ResumableConflictError(
        "Another request went on with this upload. Ask with HEAD where it stands."
    )
