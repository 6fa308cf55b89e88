"""`Idempotency-Key`: a request that is repeated gets the same answer again.

It follows the IETF draft "The Idempotency-Key HTTP Header Field"
(draft-ietf-httpapi-idempotency-key). The answer is kept in the transaction that acknowledges, so
that no crash comes between. Refusals are not kept, since the same request is refused again.
"""

import hashlib
import json
from collections.abc import Sequence

from psycopg.types.json import Jsonb

from visionops_assets.catalog.uploads import Connection
from visionops_assets.errors import IdempotencyKeyReusedError
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.fields import MediaFields


class RepeatedRequest:
    """Remembers the answer to one key of one owner; an `upload.Memory`."""

    def __init__(
        self,
        owner: str,
        key: str,
        fields: MediaFields,
        sha256s: Sequence[str | None],
        own: Sequence[MediaFields] = (),
    ) -> None:
        self._owner = owner
        self._key = key
        # Requests without facts of each file have the fingerprint that earlier versions kept.
        said = [list(sha256s), *map(_said, (fields, *own))]
        self._fingerprint = hashlib.sha256(json.dumps(said).encode()).hexdigest()

    async def recall(self, connection: Connection) -> list[UploadReceipt] | None:
        """Return the receipts that this request got before.

        Raises:
            IdempotencyKeyReusedError: the key came with another request.
        """
        found = await connection.execute(
            "SELECT fingerprint, answer FROM acknowledgement"
            " WHERE owner = %s AND idempotency_key = %s",
            (self._owner, self._key),
        )
        row = await found.fetchone()
        if row is None:
            return None
        fingerprint, answer = row
        if fingerprint != self._fingerprint:
            raise IdempotencyKeyReusedError(
                "This Idempotency-Key came before with another request. Use a new one."
            )
        return [UploadReceipt.model_validate(receipt) for receipt in answer["receipts"]]

    async def remember(self, connection: Connection, receipts: list[UploadReceipt]) -> None:
        """Keep the receipts."""
        answer = {"receipts": [receipt.model_dump(mode="json") for receipt in receipts]}
        await connection.execute(
            "INSERT INTO acknowledgement (owner, idempotency_key, fingerprint, answer)"
            " VALUES (%s, %s, %s, %s)",
            (self._owner, self._key, self._fingerprint, Jsonb(answer)),
        )


def _said(facts: MediaFields) -> dict[str, object]:
    """Return the facts that earlier versions knew, too, and others where they are told."""
    said = facts.model_dump(mode="json")
    if facts.model is None:
        del said["model"]
    return said
