"""The reference of a model version, on its way through the object store."""

from dataclasses import fields, replace
from functools import cache
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.references import reference
from tests.resources.memory_store import MemoryStore
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.monitoring.reference_files import (
    MAX_FRAMES,
    Reference,
    choose_frames,
    read_reference,
    reference_key,
    write_reference,
)
from visionops_assets.resources.object_store import ObjectStore


@pytest.fixture
def store() -> ObjectStore:
    return cast("ObjectStore", MemoryStore())


def test_what_was_written_is_read(store: ObjectStore) -> None:
    written = reference(
        ["a", "bé"], ["a", "a"], [[0.75, 0.25]] * 2, [[1, 2, 3]] * 2, [[1, 2, 3, 4]] * 2
    )
    key = write_reference(store, "classifier", 7, written)
    assert key == "models/classifier/7/reference.npz"
    read = read_reference(store, "classifier", 7)
    assert read is not None
    for field in fields(Reference):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))
        assert getattr(read, field.name).dtype == getattr(written, field.name).dtype


def test_a_version_without_one_has_none(store: ObjectStore) -> None:
    write_reference(store, "classifier", 7, reference(["a"], ["a"], [[1]]))
    assert read_reference(store, "classifier", 8) is None


def test_what_could_run_code_is_not_read(store: ObjectStore) -> None:
    """A pickle runs whatever it says when it is loaded."""
    harmful = reference(["a"], ["a"], [[1]])
    vars(harmful)["labels"] = np.array([{"any": "object"}], dtype=object)
    write_reference(store, "classifier", 7, harmful)
    with pytest.raises(DamagedArtifactError) as refused:
        read_reference(store, "classifier", 7)
    assert "allow_pickle=False" in str(refused.value.__cause__)


SMALL = reference(["a"], ["b"], [[0.75, 0.25]])


@cache
def stored() -> bytes:
    store = MemoryStore()
    return store[write_reference(cast("ObjectStore", store), "classifier", 7, SMALL)]


def is_found_or_changes_nothing(content: bytes) -> None:
    """Some bytes of a zip archive say nothing, such as its times and what comes behind it."""
    store = MemoryStore({reference_key("classifier", 7): content})
    try:
        read = read_reference(cast("ObjectStore", store), "classifier", 7)
    except DamagedArtifactError:
        return
    assert read is not None
    for field in fields(Reference):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(SMALL, field.name))


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit(position: int, bit: int) -> None:
    flipped = bytearray(stored())
    flipped[position % len(flipped)] ^= 1 << bit
    is_found_or_changes_nothing(bytes(flipped))


@given(st.integers(0, 2_000), st.binary(max_size=50))
def test_a_part_and_noise(size: int, noise: bytes) -> None:
    for content in (stored()[:size], noise, stored()[:size] + noise + stored()[size:]):
        is_found_or_changes_nothing(content)


@pytest.mark.parametrize("content", [b"", b"other bytes", b"PK\x03\x04", b"\x93NUMPY"])
def test_other_bytes_are_no_reference(content: bytes) -> None:
    key = reference_key("classifier", 7)
    store = cast("ObjectStore", MemoryStore({key: content}))
    with pytest.raises(DamagedArtifactError, match=f"The reference {key} is not what was written"):
        read_reference(store, "classifier", 7)


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": np.array(["a"] * 2)},
        {"answered": np.array([["a"]])},
        {"classes": np.array(["a", "b"])},
        {"probabilities": np.ones(1, np.float32)},
        {"embeddings": np.ones((2, 1), np.float32)},
        {"quality": np.ones(4, np.float32)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_arrays_that_do_not_fit_together_are_no_reference(
    store: ObjectStore, changed: dict[str, np.ndarray]
) -> None:
    write_reference(store, "classifier", 7, replace(reference(["a"], ["a"], [[1]]), **changed))
    with pytest.raises(DamagedArtifactError):
        read_reference(store, "classifier", 7)


@pytest.mark.parametrize("count", [0, 3, MAX_FRAMES, 10 * MAX_FRAMES])
def test_frames_are_chosen_from_all_and_always_the_same(count: int) -> None:
    chosen = choose_frames(count)
    assert len(chosen) == min(count, MAX_FRAMES)
    np.testing.assert_array_equal(chosen, np.unique(chosen))
    np.testing.assert_array_equal(chosen, choose_frames(count))
    if count > MAX_FRAMES:
        assert chosen.mean() == pytest.approx(count / 2, rel=0.05)
