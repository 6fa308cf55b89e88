"""Which files of a form are stored together, against a store that only takes notes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.ingest_bodies import arriving, collected, cut_at
from visionops_assets.catalog.uploads import Deposit, StoredContent
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import (
    EmptyMediaError,
    InvalidRequestError,
    MediaError,
    ServerUnreachableError,
)
from visionops_assets.services.ingest.fields import MediaFields
from visionops_assets.services.ingest.measuring import CHUNK_BYTES
from visionops_assets.services.ingest.received import (
    TOGETHER_BYTES,
    TOGETHER_FILES,
    ReceivedFile,
    ReceivedFiles,
)

FACTS = MediaFields(source="gate", label="cat")


class Store:
    """Stands in for `Deposits`: notes the contents that are stored alone, and together."""

    def __init__(self) -> None:
        self.alone: list[bytes] = []
        self.together: list[list[bytes]] = []
        self.kept: dict[str, bytes] = {}
        self.is_down = False

    async def store(self, body: AsyncIterator[bytes]) -> Deposit:
        self.alone.append(b"".join(await collected(body)))
        return self._deposit(self.alone[-1])

    async def store_all(self, files: Sequence[bytes]) -> list[Deposit | MediaError]:
        if self.is_down:
            raise ServerUnreachableError("down")
        self.together.append(list(files))
        return [self._deposit(data) if data else EmptyMediaError("empty") for data in files]

    async def discard(self, deposits: Iterable[Deposit]) -> None:
        for deposit in deposits:
            del self.kept[deposit.object_key]

    def _deposit(self, data: bytes) -> Deposit:
        media_id = uuid4()
        self.kept[str(media_id)] = data
        content = StoredContent(MediaKind.IMAGE, "image/png", "0" * 64, len(data))
        return Deposit(media_id, str(media_id), content)


def received(
    store: Store, contents: Iterable[bytes], own: Sequence[str] = (), places: Sequence[int] = ()
) -> list[ReceivedFile]:
    async def receive() -> list[ReceivedFile]:
        files = ReceivedFiles(cast("Any", store))
        for number, content in enumerate(contents):
            await files.take(f"{number}.png", arriving(cut_at(content, places)))
        return await files.described(FACTS, own)

    return asyncio.run(receive())


SIZES = st.one_of(st.integers(0, 3_000), st.integers(CHUNK_BYTES - 2, CHUNK_BYTES + 2))


@given(sizes=st.lists(SIZES, max_size=80), places=st.lists(st.integers(0, 2_000_000), max_size=4))
def test_every_file_is_stored_once_and_answered_in_its_place(
    sizes: list[int], places: list[int]
) -> None:
    contents = [number.to_bytes(2, "big") * (size // 2) for number, size in enumerate(sizes)]
    store = Store()
    files = received(store, contents, places=places)
    assert [file.filename for file in files] == [f"{number}.png" for number in range(len(sizes))]
    for file, content in zip(files, contents, strict=True):
        if content:
            assert isinstance(file.outcome, Deposit)
            assert store.kept[file.outcome.object_key] == content
        else:
            assert isinstance(file.outcome, EmptyMediaError)
    assert store.alone == [content for content in contents if len(content) > CHUNK_BYTES]
    assert all(0 < len(group) <= TOGETHER_FILES for group in store.together)
    for group in store.together:
        assert sum(map(len, group[:-1])) <= TOGETHER_BYTES


def test_small_files_wait_for_others() -> None:
    store = Store()
    received(store, [b"x"] * (TOGETHER_FILES + 3))
    assert [len(group) for group in store.together] == [TOGETHER_FILES, 3]
    store = Store()
    received(store, [b"x" * CHUNK_BYTES] * 6)
    assert [len(group) for group in store.together] == [5, 1]


def test_each_file_may_have_facts_of_its_own() -> None:
    store = Store()
    own = ['{"label": "dog", "filename": "dog.png"}', '{"label": "ca\\u200bt"}', "{}"]
    first, second, third = received(store, [b"a", b"b", b"c"], own)
    assert (first.filename, first.facts.label, first.facts.source) == ("dog.png", "dog", "gate")
    assert isinstance(second.outcome, InvalidRequestError)
    assert second.filename == "1.png"
    assert (third.filename, third.facts.label) == ("2.png", "cat")
    assert list(store.kept.values()) == [b"a", b"c"]


def test_a_file_without_facts_of_its_own_has_those_of_all() -> None:
    (file,) = received(Store(), [b"a"])
    assert file.facts is FACTS


def test_what_was_stored_can_be_removed() -> None:
    store = Store()

    async def fail() -> None:
        files = ReceivedFiles(cast("Any", store))
        for _ in range(TOGETHER_FILES):
            await files.take(None, arriving([b"x"]))
        await files.take(None, arriving([b"x" * (CHUNK_BYTES + 1)]))
        await files.take(None, arriving([b"x"]))
        assert len(store.kept) == TOGETHER_FILES + 1
        store.is_down = True
        with pytest.raises(ServerUnreachableError):
            await files.described(FACTS, ())
        await files.discard()

    asyncio.run(fail())
    assert store.kept == {}


class Counted(bytes):
    """A piece that counts how often it is measured."""

    measured = 0

    def __len__(self) -> int:
        Counted.measured += 1
        return super().__len__()


def test_a_file_of_many_pieces_is_measured_once() -> None:
    """A client may send one byte per packet: each must not cost more than the one before."""
    pieces = 2_000
    (file,) = asyncio.run(taken([Counted(b"\r") for _ in range(pieces)]))
    assert isinstance(file.outcome, Deposit)
    assert file.outcome.content.bytes == pieces
    assert Counted.measured <= 2 * pieces


async def taken(pieces: list[bytes]) -> list[ReceivedFile]:
    files = ReceivedFiles(cast("Any", Store()))
    await files.take(None, arriving(pieces))
    return await files.described(FACTS, ())
