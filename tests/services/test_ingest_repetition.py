import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.errors import IdempotencyKeyReusedError
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.fields import MediaFields, UploadQuery
from visionops_assets.services.ingest.repetition import RepeatedRequest

FIELDS = MediaFields(source="gate", label="cat")
SHA256S = ["a" * 64, None]
RECEIPT = UploadReceipt(
    media_id=uuid4(),
    sha256="a" * 64,
    kind=MediaKind.IMAGE,
    bytes=1,
    duplicate=False,
    status=MediaStatus.STORED,
)


@dataclass
class Acknowledgements:
    """Stands in for a connection to the one table that is asked."""

    rows: dict[tuple[str, str], tuple[str, dict[str, Any]]] = field(default_factory=dict)
    _found: tuple[str, dict[str, Any]] | None = None

    async def execute(self, query: str, values: tuple[Any, ...]) -> "Acknowledgements":
        owner, key = values[:2]
        if query.startswith("INSERT"):
            self.rows[owner, key] = (values[2], values[3].obj)
        self._found = self.rows.get((owner, key))
        return self

    async def fetchone(self) -> tuple[str, dict[str, Any]] | None:
        return self._found


def request(
    owner: str = "client",
    key: str = "k",
    fields: MediaFields = FIELDS,
    sha256s: list[str | None] = SHA256S,
    own: Sequence[MediaFields] = (),
) -> RepeatedRequest:
    return RepeatedRequest(owner, key, fields, sha256s, own)


@pytest.fixture
def kept() -> Any:
    table = cast("Any", Acknowledgements())
    asyncio.run(request().remember(table, [RECEIPT]))
    return table


def test_the_same_request_gets_the_same_receipts(kept: Any) -> None:
    assert asyncio.run(request().recall(kept)) == [RECEIPT]


@pytest.mark.parametrize(
    "other", [request(owner="another"), request(key="K")], ids=["owner", "key"]
)
def test_another_owner_or_key_has_answers_of_its_own(kept: Any, other: RepeatedRequest) -> None:
    assert asyncio.run(other.recall(kept)) is None


@pytest.mark.parametrize(
    "other",
    [
        request(fields=MediaFields(source="gate")),
        request(fields=MediaFields(source="gate", label="dog")),
        request(fields=MediaFields(label="cat")),
        request(fields=FIELDS.model_copy(update={"captured_at": datetime(2026, 3, 1, tzinfo=UTC)})),
        request(sha256s=["a" * 64]),
        request(sha256s=[None, "a" * 64]),
        request(sha256s=["b" * 64, None]),
        request(own=[FIELDS, FIELDS]),
        request(fields=FIELDS.model_copy(update={"model": "classifier"})),
    ],
    ids=[
        "no label",
        "label",
        "source",
        "time",
        "fewer files",
        "order",
        "other file",
        "own facts",
        "model",
    ],
)
def test_the_same_key_for_another_request_is_refused(kept: Any, other: RepeatedRequest) -> None:
    with pytest.raises(IdempotencyKeyReusedError):
        asyncio.run(other.recall(kept))


def test_the_same_facts_of_each_file_get_the_same_receipts() -> None:
    table = cast("Any", Acknowledgements())
    own = [UploadQuery(filename="a.png"), UploadQuery(filename="b.png")]
    asyncio.run(request(own=own).remember(table, [RECEIPT]))
    assert asyncio.run(request(own=own).recall(table)) == [RECEIPT]
    with pytest.raises(IdempotencyKeyReusedError):
        asyncio.run(request(own=own[::-1]).recall(table))


def test_a_key_of_an_earlier_version_is_known(kept: Any) -> None:
    """The fingerprint of a request without facts of each file, as it was kept before there were."""
    ((fingerprint, _),) = kept.rows.values()
    assert fingerprint == "4c0c196e0a741b02afc0275bfee95bcbf2f6ad061449fc2acd9291b465eb21e2"
