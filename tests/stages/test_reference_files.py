"""The reference of a model version, on its way through the object store."""

from dataclasses import fields
from typing import cast

import numpy as np
import pytest

from tests.stages.memory_store import MemoryStore
from tests.stages.references import reference
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.reference_files import (
    MAX_FRAMES,
    Reference,
    choose_frames,
    read_reference,
    write_reference,
)


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
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_reference(store, "classifier", 7)


@pytest.mark.parametrize("count", [0, 3, MAX_FRAMES, 10 * MAX_FRAMES])
def test_frames_are_chosen_from_all_and_always_the_same(count: int) -> None:
    chosen = choose_frames(count)
    assert len(chosen) == min(count, MAX_FRAMES)
    np.testing.assert_array_equal(chosen, np.unique(chosen))
    np.testing.assert_array_equal(chosen, choose_frames(count))
    if count > MAX_FRAMES:
        assert chosen.mean() == pytest.approx(count / 2, rel=0.05)
