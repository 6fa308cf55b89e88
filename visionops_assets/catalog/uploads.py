"""The steps of an upload in the catalog: intent, lease, acknowledgement.

Only these queries do not go through SQLAlchemy's sessions: they run on an event loop, several per
upload, and psycopg itself takes a tenth of the CPU time. Leases are by PostgreSQL's clock, so that
replicas need not agree on theirs.
"""

import select
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.errors import OperationalError
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy.engine import make_url

from visionops_assets.catalog.connection import LIVENESS
from visionops_assets.catalog.media import FIRST_ATTEMPT
from visionops_assets.catalog.outbox import event_id_of
from visionops_assets.contracts import MediaEvent, MediaKind, MediaStatus
from visionops_assets.errors import ForgottenMediaError, ServerUnreachableError, UploadExpiredError

POOL_CONNECTIONS = 10
CONNECTION_TIMEOUT_S = 5.0
LABEL_ORIGIN = "upload"
FORGOTTEN = "This content was erased on request, and is not taken again."

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True)
class StoredContent:
    """Measurements of one upload, taken while its bytes went to the object store."""

    kind: MediaKind
    content_type: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Deposit:
    """An object that lies in the store under an intent: not acknowledged, nothing announced."""

    media_id: UUID
    object_key: str
    content: StoredContent


@dataclass(frozen=True)
class Description:
    """The facts that a client states about a file. None of them is ever part of a path."""

    source: str
    filename: str | None
    captured_at: datetime
    annotation: dict[str, Any] | None
    """Its label, in the form of a task."""
    model_name: str | None
    """The model that this is for; None for each that looks at the source."""
    name_mismatch: bool
    uploaded_by: str
    may_relabel: bool
    """Whether its sender may change the label that a file has."""


@dataclass(frozen=True)
class Settled:
    """The result of an upload: the media file that holds its bytes, and whether that was known."""

    media_id: UUID
    status: MediaStatus
    duplicate: bool


class UploadLedger:
    """The catalog as ingest uses it. A process has one, and opens it before use."""

    def __init__(self, postgres_url: str, lease_s: float) -> None:
        self._url = make_url(postgres_url).set(drivername="postgresql")
        self._lease_s = lease_s
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._url.render_as_string(hide_password=False),
            kwargs={"autocommit": True, **LIVENESS},
            max_size=POOL_CONNECTIONS,
            open=False,
            timeout=CONNECTION_TIMEOUT_S,
            check=_require_open,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["UploadLedger"]:
        """Keep connections for the length of the block. PostgreSQL need not be up yet."""
        await self._pool.open()
        try:
            yield self
        finally:
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection on which each statement is a transaction of its own.

        Raises:
            ServerUnreachableError: PostgreSQL does not answer. If that happens once a statement was
                sent, nobody knows whether it was committed.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (OperationalError, PoolTimeout) as error:
            raise ServerUnreachableError(
                f"The catalog at {self._url.host}:{self._url.port} does not answer: {error}"
            ) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open one transaction: committed at the end of the block, rolled back on an error.

        Raises:
            ServerUnreachableError: PostgreSQL does not answer. If that happens at the end of the
                block, nobody knows whether it was committed.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def open_intents(self, keys: Mapping[UUID, str]) -> None:
        """Note which objects are about to be written, by media id, before any of them is.

        A crash at any later point leaves these rows, which lead to the objects.
        """
        async with self.connection() as connection:
            await connection.execute(
                "INSERT INTO media (media_id, status, source, object_key, attempt, captured_at,"
                " lease_expires_at)"
                " SELECT media_id, 'receiving', '', object_key, %s, now(),"
                " now() + %s * interval '1 second'"
                " FROM unnest(%s::uuid[], %s::varchar[]) AS intent (media_id, object_key)",
                (FIRST_ATTEMPT, self._lease_s, list(keys), list(keys.values())),
            )

    async def renew(self, media_ids: Collection[UUID]) -> set[UUID]:
        """Extend the leases of uploads under way; return those that were not given up."""
        async with self.connection() as connection:
            renewed = await connection.execute(
                "UPDATE media SET lease_expires_at = now() + %s * interval '1 second'"
                " WHERE media_id = ANY(%s) AND attempt = %s AND status = 'receiving'"
                " RETURNING media_id",
                (self._lease_s, list(media_ids), FIRST_ATTEMPT),
            )
            return {media_id for (media_id,) in await renewed.fetchall()}

    async def forgotten(self, sha256s: Collection[str]) -> set[str]:
        """Return those of these contents that were erased on request."""
        async with self.connection() as connection:
            found = await connection.execute(
                "SELECT sha256 FROM media WHERE sha256 = ANY(%s) AND status = 'forgotten'",
                (list(sha256s),),
            )
            return {sha256 for (sha256,) in await found.fetchall()}

    async def forget(self, media_id: UUID) -> None:
        """Delete an abandoned intent whose object is gone."""
        async with self.connection() as connection:
            await connection.execute(
                "DELETE FROM media WHERE media_id = %s AND attempt = %s AND status = 'receiving'",
                (media_id, FIRST_ATTEMPT),
            )


async def settle(
    connection: Connection, uploads: Sequence[tuple[Deposit, Description]], topic: str
) -> list[Settled]:
    """Decide of each upload, in this order: it is stored and announced, or a duplicate.

    There is one statement for each, and one wait for all of them.

    Raises:
        UploadExpiredError: the lease of one ran out and it was given up.
        ForgottenMediaError: the content of one was erased on request.
        psycopg.errors.UniqueViolation: the same bytes of this source were stored in between.
    """
    stored_at = datetime.now(UTC)
    cursor = connection.cursor()
    await cursor.executemany(
        _SETTLE, [_values(*upload, stored_at, topic) for upload in uploads], returning=True
    )
    rows = [await result.fetchone() async for result in cursor.results()]
    return [_settled(row) for row in rows]


def _values(
    deposit: Deposit, description: Description, stored_at: datetime, topic: str
) -> dict[str, Any]:
    event = _event(deposit, description, stored_at)
    content, said = deposit.content, description.annotation
    return (
        vars(description)
        | vars(content)
        | {
            "kind": content.kind.value,
            "media_id": deposit.media_id,
            "attempt": FIRST_ATTEMPT,
            "stored_at": stored_at,
            "event_id": event.event_id,
            "topic": topic,
            "message_key": str(deposit.media_id),
            "payload": Jsonb(event.model_dump(mode="json")),
            "annotation": None if said is None else Jsonb(said),
            "label_origin": LABEL_ORIGIN,
        }
    )


def _settled(row: tuple[Any, ...] | None) -> Settled:
    if row is None:
        raise UploadExpiredError("The upload took longer than its lease. Upload the file again.")
    media_id, status, duplicate = row
    if status == MediaStatus.FORGOTTEN:
        raise ForgottenMediaError(FORGOTTEN)
    return Settled(media_id, MediaStatus(status), duplicate)


_SETTLE = """
WITH gone AS (
    SELECT FROM media WHERE sha256 = %(sha256)s AND status = 'forgotten' LIMIT 1
), known AS (
    SELECT media_id, status FROM media
    WHERE source = %(source)s AND sha256 = %(sha256)s AND status NOT IN ('receiving', 'forgotten')
), stored AS (
    UPDATE media
    SET status = 'stored', stored_at = %(stored_at)s, source = %(source)s, sha256 = %(sha256)s,
        filename = %(filename)s, captured_at = %(captured_at)s, kind = %(kind)s,
        content_type = %(content_type)s, bytes = %(bytes)s, name_mismatch = %(name_mismatch)s,
        uploaded_by = %(uploaded_by)s
    WHERE media_id = %(media_id)s AND attempt = %(attempt)s AND status = 'receiving'
        AND NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM gone)
    RETURNING media_id, status
), sent AS (
    INSERT INTO media_uploader (media_id, key_name)
    SELECT media_id, %(uploaded_by)s
    FROM (SELECT media_id FROM known UNION ALL SELECT media_id FROM stored) AS file
    ON CONFLICT DO NOTHING
), owed AS (
    INSERT INTO outbox (event_id, topic, message_key, payload)
    SELECT %(event_id)s, %(topic)s, %(message_key)s, %(payload)s FROM stored
), labelled AS (
    INSERT INTO annotation (media_id, payload, model_name, origin, author)
    SELECT media_id, %(annotation)s::jsonb, %(model_name)s::varchar, %(label_origin)s,
        %(uploaded_by)s
    FROM stored
    WHERE %(annotation)s::jsonb IS NOT NULL
)
SELECT media_id, status, true FROM known UNION ALL SELECT media_id, status, false FROM stored
UNION ALL SELECT NULL, 'forgotten', true FROM gone
"""


async def _require_open(connection: Connection) -> None:
    """Refuse a pooled connection that a restart of PostgreSQL has cut.

    A cut connection has something to read on its idle socket. Looking costs a fraction of asking.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        # Else the pool would take it for a good one, and lend it again.
        await connection.close()
        raise OperationalError("the server closed the connection")


def _event(deposit: Deposit, description: Description, stored_at: datetime) -> MediaEvent:
    content = deposit.content
    return MediaEvent(
        event_id=event_id_of(deposit.media_id, announcement=1),
        media_id=deposit.media_id,
        object_key=deposit.object_key,
        sha256=content.sha256,
        bytes=content.bytes,
        kind=content.kind,
        content_type=content.content_type,
        source=description.source,
        captured_at=description.captured_at,
        stored_at=stored_at,
    )
