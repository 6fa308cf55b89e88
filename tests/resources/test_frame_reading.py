"""Frames are read from wherever they lie now, as they were written, or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resources.memory_store import MemoryStore
from tests.resources.whereabouts import Shelf
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.frame_reading import DamagedFramesError, FrameReader
from visionops_assets.vision.preprocessing import decode_frame

SIDE_PX = 8


def images_of(*values: int) -> np.ndarray:
    return np.stack([np.full((SIDE_PX, SIDE_PX, 3), value, np.uint8) for value in values])


def reader_of(shelf: Shelf, frame_ids: list[str]) -> FrameReader:
    return FrameReader(shelf.objects, shelf, frame_ids, shelf.find(frame_ids))


def read(reader: FrameReader, *rows: int) -> list[int]:
    return [int(decode_frame(each)[0, 0, 0]) for each in reader.read(np.array(rows, np.int64))]


@pytest.mark.parametrize("hashed", [True, False])
def test_frames_of_several_shards_come_in_the_order_that_is_asked(hashed: bool) -> None:
    shelf = Shelf(MemoryStore())
    shelf.put(images_of(1, 2), ["a", "b"], "one", hashed=hashed)
    shelf.put(images_of(3, 4), ["c", "d"], "two", hashed=hashed)
    reader = reader_of(shelf, ["d", "a", "c", "b"])
    assert read(reader, 0, 1, 2, 3) == [4, 1, 3, 2]
    assert read(reader, 3, 0) == [2, 4]


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), hashed=st.booleans())
def test_any_flipped_bit_of_what_is_read_is_found(position: int, bit: int, hashed: bool) -> None:
    shelf = Shelf(MemoryStore())
    key = shelf.put(images_of(1), ["a"], "one", hashed=hashed)
    _, offset, length, _ = shelf.rows["a"]
    flipped = bytearray(shelf.store[key])
    # Of a frame with a hash nothing else is read.
    flipped[offset + position % length if hashed else position % len(flipped)] ^= 1 << bit
    shelf.store.put(key, bytes(flipped))
    with pytest.raises(DamagedFramesError, match="not those that were written") as raised:
        read(reader_of(shelf, ["a"]), 0)
    assert list(raised.value.damaged) == [key]


def test_all_damaged_shards_are_named_at_once() -> None:
    shelf = Shelf(MemoryStore())
    keys = [shelf.put(images_of(n), [str(n)], f"b{n}") for n in range(4)]
    reader = reader_of(shelf, ["0", "1", "2", "3"])
    del shelf.store[keys[1]]
    shelf.store.put(keys[2], shelf.store[keys[2]][:600])
    with pytest.raises(DamagedFramesError) as raised:
        read(reader, 0, 1, 2, 3)
    assert set(raised.value.damaged) == {keys[1], keys[2]}
    assert "gone" in raised.value.damaged[keys[1]]
    assert raised.value.code == "damaged_shard"
    assert read(reader, 3, 0) == [3, 0]


def test_a_frame_that_was_moved_is_read_where_it_lies_now() -> None:
    shelf = Shelf(MemoryStore())
    old = shelf.put(images_of(1, 2), ["a", "b"], "one")
    reader = reader_of(shelf, ["a", "b"])
    shelf.put(images_of(2), ["b"], "two")
    del shelf.rows["a"], shelf.store[old]
    assert read(reader, 1) == [2]
    with pytest.raises(DamagedFramesError):
        read(reader, 0)


class Failing(MemoryStore):
    """A store that fails on some keys, each as often as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, int] = {}
        self.is_away = False

    def get_range(self, key: str, start: int, count: int) -> bytes:
        if self.is_away:
            raise ServerUnreachableError("The store is away.")
        return super().get_range(key, start, count)

    def get_ranges(self, key: str, starts, lengths) -> list[bytes]:  # type: ignore[no-untyped-def]
        if self.failures.get(key, 0):
            self.failures[key] -= 1
            raise ServerUnreachableError(f"The store failed on {key}.")
        return super().get_ranges(key, starts, lengths)


def test_a_shard_that_the_store_fails_on_is_damaged_if_it_gives_others() -> None:
    store = Failing()
    shelf = Shelf(store)
    keys = [shelf.put(images_of(n), [str(n)], f"b{n}") for n in range(3)]
    reader = reader_of(shelf, ["0", "1", "2"])
    store.failures = dict.fromkeys(keys, 9)
    with pytest.raises(ServerUnreachableError):
        read(reader, 0, 1, 2)
    store.failures = {keys[0]: 1}
    store.is_away = True
    store.failures = dict.fromkeys(keys[:2], 9)
    read(reader, 2)
    with pytest.raises(ServerUnreachableError):  # It gave others before, and gives none now.
        read(reader, 0, 1)
    store.is_away = False
    store.failures = {keys[0]: 1}
    assert read(reader, 0, 1, 2) == [0, 1, 2]
    store.failures = {keys[0]: 2}
    with pytest.raises(DamagedFramesError, match="It gives others") as raised:
        read(reader, 0, 1, 2)
    assert list(raised.value.damaged) == [keys[0]]
