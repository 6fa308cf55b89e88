"""The order of the steps of an upload, against a catalog and a store that only take notes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from psycopg.errors import UniqueViolation

from tests.services.ingest_bodies import PNG_HEAD, arriving
from tests.vision.corpus import mp4
from visionops_assets.catalog.uploads import Deposit, Description
from visionops_assets.contracts import MediaEvent
from visionops_assets.errors import (
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidLengthError,
    MediaError,
    NoFramesError,
    ServerUnreachableError,
    TooLargeError,
    UnsupportedMediaError,
    UploadExpiredError,
    VisionOpsError,
)
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.services.ingest.measuring import CHUNK_BYTES
from visionops_assets.services.ingest.upload import SETTLE_ATTEMPTS, Acknowledgement, Uploads
from visionops_assets.settings import Settings

STEP_BY_QUERY = {"WITH": "settle", "INSERT": "add label", "UPDATE": "renew"}
DOWN = ServerUnreachableError("down")


class Notes:
    """Stands in for ledger, connection, store and video check at once; notes each step."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.events: list[MediaEvent] = []
        self.renewed: set[UUID] = set()
        self.given_up: set[UUID] = set()
        self.known_media_id: UUID | None = None
        self.newest_label = "cat"
        self.failing: dict[str, list[BaseException]] = {}
        self._row: tuple[Any, ...] | None = None
        self._rows: list[tuple[Any, ...]] = []

    def _note(self, step: str) -> None:
        if self.failing.get(step):
            raise self.failing[step].pop(0)
        self.steps.append(step)

    async def open_intents(self, keys: Mapping[UUID, str]) -> None:
        for _ in keys:
            self._note("intent")

    async def forget(self, *_: object) -> None:
        self._note("forget")

    async def renew(self, media_ids: set[UUID]) -> set[UUID]:
        self._note("renew")
        self.renewed = set(media_ids)
        return self.renewed - self.given_up

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Notes"]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Notes"]:
        self._note("begin")
        yield self
        self._note("commit")

    async def execute(self, query: str, values: Any) -> "Notes":
        word = query.split(maxsplit=1)[0]
        if word == "SELECT":
            self._row = ({"label": self.newest_label}, None)
            return self
        self._note(STEP_BY_QUERY[word])
        return self

    def cursor(self) -> "Notes":
        return self

    async def executemany(self, query: str, rows: list[Any], *, returning: bool) -> None:
        assert returning
        self._rows = [self._settle(query, values) for values in rows]

    def _settle(self, query: str, values: Any) -> tuple[Any, ...]:
        self._note(STEP_BY_QUERY[query.split(maxsplit=1)[0]])
        event = MediaEvent.model_validate(values["payload"].obj)
        if self.known_media_id:
            return (self.known_media_id, "stored", True)
        self.events.append(event)
        return (event.media_id, "stored", False)

    async def results(self) -> AsyncIterator["Notes"]:
        for row in self._rows:
            self._row = row
            yield self

    async def fetchone(self) -> tuple[Any, ...] | None:
        return self._row

    async def put_async(self, _key: str, _data: bytes) -> None:
        self._note("put")

    async def put_stream_async(self, _key: str, chunks: AsyncIterator[bytes]) -> None:
        async for _ in chunks:
            pass
        self._note("put stream")

    async def delete_async(self, _key: str) -> None:
        self._note("delete")

    async def check(self, _key: str, _size_bytes: int) -> None:
        self._note("check video")


class Remembered:
    """A memory of one answer."""

    def __init__(self, receipts: list[UploadReceipt] | None = None) -> None:
        self.receipts = receipts
        self.error: VisionOpsError | None = None

    async def recall(self, _: object) -> list[UploadReceipt] | None:
        if self.error:
            raise self.error
        return self.receipts

    async def remember(self, _: object, receipts: list[UploadReceipt]) -> None:
        self.receipts = receipts


def deposits_of(notes: Notes, **settings: Any) -> Deposits:
    fake = cast("Any", notes)
    return Deposits(Settings(**settings), fake, fake, fake)


def uploads_of(notes: Notes, deposits: Deposits) -> Uploads:
    return Uploads(Settings(), cast("Any", notes), deposits)


def described(label: str | None = None, *, may_relabel: bool = True) -> Description:
    captured_at = datetime(2026, 3, 1, tzinfo=UTC)
    said = None if label is None else {"label": label}
    return Description("gate", "a.png", captured_at, said, None, False, "client", may_relabel)


def upload(
    notes: Notes,
    *files: bytes,
    label: str | None = None,
    memory: Remembered | None = None,
    **settings: Any,
) -> Acknowledgement:
    """Deposit the files, then acknowledge them together."""

    async def run() -> Acknowledgement:
        deposits = deposits_of(notes, **settings)
        stored = [await deposits.store(arriving([data])) for data in files or (PNG_HEAD,)]
        uploads = uploads_of(notes, deposits)
        return await uploads.acknowledge([(d, described(label)) for d in stored], memory)

    return asyncio.run(run())


def test_intent_then_object_then_state_with_event() -> None:
    notes = Notes()
    (receipt,) = upload(notes).receipts
    assert notes.steps == ["intent", "put", "settle"]
    (event,) = notes.events
    assert not receipt.duplicate
    assert (event.media_id, event.sha256) == (receipt.media_id, receipt.sha256)
    assert (event.source, event.captured_at) == ("gate", datetime(2026, 3, 1, tzinfo=UTC))
    assert event.object_key.startswith("media/")
    assert event.object_key.endswith(str(receipt.media_id))


def test_a_large_file_is_streamed() -> None:
    notes = Notes()
    upload(notes, PNG_HEAD.ljust(CHUNK_BYTES + 1, b"\0"))
    assert notes.steps == ["intent", "put stream", "settle"]


def test_a_video_is_looked_at_before_it_is_acknowledged() -> None:
    notes = Notes()
    upload(notes, mp4())
    assert notes.steps == ["intent", "put", "check video", "settle"]


def test_what_is_more_than_one_statement_is_one_transaction() -> None:
    for options in ({"label": "cat"}, {"memory": Remembered()}):
        notes = Notes()
        upload(notes, **cast("Any", options))
        assert notes.steps[-3:] == ["begin", "settle", "commit"]
    notes = Notes()
    answer = upload(notes, PNG_HEAD, PNG_HEAD + b"2")
    assert notes.steps[-4:] == ["begin", "settle", "settle", "commit"]
    assert [r.bytes for r in answer.receipts] == [len(PNG_HEAD), len(PNG_HEAD) + 1]


def test_files_are_settled_in_one_order_and_answered_in_theirs() -> None:
    notes = Notes()
    files = [PNG_HEAD + bytes([i]) for i in range(8)]
    answer = upload(notes, *files)
    hashes = [event.sha256 for event in notes.events]
    assert hashes == sorted(hashes)
    assert [r.media_id for r in answer.receipts] != [event.media_id for event in notes.events]
    assert {r.media_id: r.sha256 for r in answer.receipts} == {
        event.media_id: event.sha256 for event in notes.events
    }


def test_equal_files_of_several_sources_are_settled_by_their_sources() -> None:
    notes = Notes()

    async def run() -> None:
        deposits = deposits_of(notes)
        told = [(await deposits.store(arriving([PNG_HEAD])), source) for source in "bca"]
        uploads = uploads_of(notes, deposits)
        await uploads.acknowledge([(d, replace(described(), source=s)) for d, s in told])

    asyncio.run(run())
    assert [event.source for event in notes.events] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("label", "added"), [(None, []), ("cat", []), ("dog", ["add label"])], ids=["none", "=", "!="]
)
def test_a_duplicate_leaves_neither_object_nor_intent(label: str | None, added: list[str]) -> None:
    notes = Notes()
    notes.known_media_id = uuid4()
    (receipt,) = upload(notes, label=label).receipts
    assert (receipt.media_id, receipt.duplicate) == (notes.known_media_id, True)
    assert notes.events == []
    transaction = ["begin", "settle", *added, "commit"] if label else ["settle"]
    assert notes.steps == ["intent", "put", *transaction, "delete", "forget"]


@pytest.mark.parametrize(
    ("known", "label", "is_refused"), [("cat", "dog", True), ("cat", "cat", False)]
)
def test_a_label_is_changed_only_by_those_who_may(known: str, label: str, is_refused: bool) -> None:
    notes = Notes()
    notes.known_media_id, notes.newest_label = uuid4(), known

    async def run() -> None:
        deposits = deposits_of(notes)
        deposit = await deposits.store(arriving([PNG_HEAD]))
        uploads = uploads_of(notes, deposits)
        await uploads.acknowledge([(deposit, described(label, may_relabel=False))])

    if is_refused:
        with pytest.raises(ForbiddenError, match="scope 'label'"):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert "add label" not in notes.steps
    assert notes.steps[-2:] == ["delete", "forget"]


def test_a_race_of_equal_uploads_is_decided_again() -> None:
    notes = Notes()
    notes.failing["settle"] = [UniqueViolation()]
    notes.known_media_id = uuid4()
    (receipt,) = upload(notes).receipts
    assert (receipt.media_id, receipt.duplicate) == (notes.known_media_id, True)


def test_a_race_without_end_leaves_nothing() -> None:
    notes = Notes()
    notes.failing["settle"] = [UniqueViolation() for _ in range(SETTLE_ATTEMPTS)]
    with pytest.raises(UniqueViolation):
        upload(notes)
    assert notes.steps == ["intent", "put", "delete", "forget"]


def test_a_repeated_request_gets_its_answer_and_leaves_nothing() -> None:
    notes, memory = Notes(), Remembered()
    first = upload(notes, memory=memory)
    again = upload(notes, memory=memory)
    assert again == Acknowledgement(receipts=first.receipts, replayed=True)
    assert notes.steps[-6:] == ["intent", "put", "begin", "commit", "delete", "forget"]
    assert len(notes.events) == 1


def test_a_reused_key_leaves_nothing() -> None:
    notes, memory = Notes(), Remembered()
    memory.error = IdempotencyKeyReusedError("another request")
    with pytest.raises(IdempotencyKeyReusedError):
        upload(notes, memory=memory)
    assert notes.steps == ["intent", "put", "begin", "delete", "forget"]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"#!/bin/sh", UnsupportedMediaError), (PNG_HEAD + b"x", TooLargeError)],
)
def test_a_refused_file_leaves_nothing(data: bytes, error: type[MediaError]) -> None:
    notes = Notes()
    with pytest.raises(error):
        upload(notes, data, max_upload_bytes=len(PNG_HEAD))
    assert notes.steps == ["intent", "delete", "forget"]


def test_a_refused_video_leaves_nothing() -> None:
    notes = Notes()
    notes.failing["check video"] = [NoFramesError("none")]
    with pytest.raises(NoFramesError):
        upload(notes, mp4())
    assert notes.steps == ["intent", "put", "delete", "forget"]


def test_a_body_that_fails_leaves_nothing() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield PNG_HEAD.ljust(CHUNK_BYTES * 2, b"\0")
        raise InvalidLengthError("cut off")

    notes = Notes()
    with pytest.raises(InvalidLengthError):
        asyncio.run(deposits_of(notes).store(body()))
    assert notes.steps == ["intent", "delete", "forget"]


def test_without_an_intent_nothing_is_written() -> None:
    notes = Notes()
    notes.failing["intent"] = [DOWN]
    with pytest.raises(ServerUnreachableError):
        upload(notes)
    assert notes.steps == []


def test_a_put_of_unknown_outcome_leaves_the_row_to_its_lease() -> None:
    notes = Notes()
    notes.failing["put"] = [DOWN]
    with pytest.raises(ServerUnreachableError):
        upload(notes)
    assert notes.steps == ["intent"]


@pytest.mark.parametrize(
    ("failing", "steps"), [("delete", ["intent"]), ("forget", ["intent", "delete"])]
)
def test_a_row_stays_as_long_as_its_object_may(failing: str, steps: list[str]) -> None:
    notes = Notes()
    notes.failing[failing] = [DOWN]
    with pytest.raises(UnsupportedMediaError):
        upload(notes, b"no image")
    assert notes.steps == steps


@pytest.mark.parametrize("step", ["settle", "commit"])
def test_an_unknown_outcome_of_the_commit_keeps_the_object(step: str) -> None:
    notes = Notes()
    notes.failing[step] = [DOWN]
    with pytest.raises(ServerUnreachableError):
        upload(notes, label="cat")
    assert not {"delete", "forget"} & set(notes.steps)


def test_an_upload_that_was_given_up_is_removed() -> None:
    notes = Notes()
    notes.failing["settle"] = [UploadExpiredError("given up")]
    with pytest.raises(UploadExpiredError):
        upload(notes)
    assert notes.steps == ["intent", "put", "delete", "forget"]


def test_of_several_files_all_or_none_are_acknowledged() -> None:
    notes = Notes()
    notes.failing["commit"] = [UploadExpiredError("given up")]
    with pytest.raises(UploadExpiredError):
        upload(notes, PNG_HEAD, PNG_HEAD + b"2")
    assert notes.steps[-4:] == ["delete", "forget"] * 2


def cancel_after(start: Callable[[Deposits], Awaitable[object]], notes: Notes) -> None:
    """Start it, and cancel it once it waits."""
    deposits = deposits_of(notes)

    async def run() -> None:
        task = asyncio.ensure_future(start(deposits))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)

    asyncio.run(run())


async def _stalling() -> AsyncIterator[bytes]:
    yield PNG_HEAD
    await asyncio.sleep(60)


def test_a_cancelled_upload_leaves_nothing() -> None:
    notes = Notes()
    cancel_after(lambda deposits: deposits.store(_stalling()), notes)
    assert notes.steps == ["intent", "delete", "forget"]


async def _eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for as long as a busy machine may need."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def test_leases_are_kept_from_the_intent_to_the_answer() -> None:
    notes = Notes()

    async def run() -> None:
        deposits = deposits_of(notes, upload_lease_s=0.03)
        keeping = asyncio.create_task(deposits.keep_leases())
        under_way = asyncio.create_task(deposits.store(_stalling()))
        deposit = await deposits.store(arriving([PNG_HEAD]))
        await _eventually(lambda: len(notes.renewed) == 2)
        assert deposit.media_id in notes.renewed
        notes.failing["renew"] = [DOWN]
        await uploads_of(notes, deposits).acknowledge([(deposit, described())])
        under_way.cancel()
        await _eventually(lambda: notes.renewed == set())
        keeping.cancel()

    asyncio.run(run())


def test_a_writer_that_lost_its_lease_stops() -> None:
    notes = Notes()

    async def run() -> None:
        deposits = deposits_of(notes, upload_lease_s=0.03)
        keeping = asyncio.create_task(deposits.keep_leases())

        async def body() -> AsyncIterator[bytes]:
            yield PNG_HEAD
            while not notes.renewed:
                await asyncio.sleep(0.01)
            notes.given_up = notes.renewed
            await asyncio.sleep(0.05)
            yield PNG_HEAD

        with pytest.raises(UploadExpiredError):
            await deposits.store(body())
        keeping.cancel()

    asyncio.run(run())
    assert "put" not in notes.steps
    assert notes.steps[-2:] == ["delete", "forget"]


def test_a_deposit_can_be_discarded() -> None:
    notes = Notes()

    async def run() -> Deposit:
        deposits = deposits_of(notes)
        deposit = await deposits.store(arriving([PNG_HEAD]))
        await deposits.discard([deposit])
        return deposit

    deposit = asyncio.run(run())
    assert deposit.content.bytes == len(PNG_HEAD)
    assert notes.steps == ["intent", "put", "delete", "forget"]


IMAGES = [PNG_HEAD + bytes([number]) for number in range(3)]


def store_all(notes: Notes, *files: bytes) -> list[Deposit | MediaError]:
    return asyncio.run(deposits_of(notes).store_all(files))


def test_small_files_are_stored_together_and_a_refused_one_has_its_place() -> None:
    notes = Notes()
    first, refused, last = store_all(notes, IMAGES[0], b"#!/bin/sh", IMAGES[1])
    assert isinstance(refused, UnsupportedMediaError)
    assert [d.content.sha256 for d in (first, last) if isinstance(d, Deposit)] == [
        sha256(data).hexdigest() for data in IMAGES[:2]
    ]
    assert notes.steps[:3] == ["intent"] * 3
    assert sorted(notes.steps[3:]) == ["delete", "forget", "put", "put"]


def test_if_the_store_fails_on_one_file_the_others_are_removed() -> None:
    notes = Notes()
    notes.failing["put"] = [DOWN]
    with pytest.raises(ServerUnreachableError):
        store_all(notes, *IMAGES)
    assert notes.steps[3:5] == ["put", "put"]
    assert notes.steps[5:] == ["delete", "forget"] * 2


def test_files_that_are_stored_together_leave_nothing_when_they_are_cancelled() -> None:
    class Slow(Notes):
        async def put_async(self, _key: str, data: bytes) -> None:
            if data != IMAGES[0]:
                await asyncio.sleep(60)
            await super().put_async(_key, data)

    notes = Slow()
    cancel_after(lambda deposits: deposits.store_all(IMAGES), notes)
    assert notes.steps[:4] == ["intent"] * 3 + ["put"]
    assert sorted(notes.steps[4:]) == ["delete"] * 3 + ["forget"] * 3
