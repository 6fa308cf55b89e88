"""A damaged reference of one model: it is said, and all that needs none goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import MagicMock

import dagster as dg
import numpy as np
import pytest

from tests.declared import declaration
from tests.defined import asset_of
from tests.monitoring.references import reference
from tests.monitoring.test_scoring import observation
from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.schema import DriftWindow, PerformanceWindow, Release
from visionops_assets.monitoring.reference_files import reference_key, write_reference
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.monitoring import drift as drift_module
from visionops_assets.stages.monitoring import performance as performance_module

COUNT = 100
SAID = "The reference models/damaged/1/reference.npz is not what was written"


class NotedCatalog:
    """Gives sessions that note what is added."""

    def __init__(self) -> None:
        self.added: list[Any] = []

    @contextmanager
    def begin(self) -> Iterator[Any]:
        session = MagicMock()
        session.add.side_effect = self.added.append
        session.add_all.side_effect = self.added.extend
        yield session


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> NotedCatalog:
    """Releases whose predictions are all labelled."""
    seen = [observation("a", "a")] * COUNT
    for module in (drift_module, performance_module):
        monkeypatch.setattr(
            module, "champion", lambda _, name: Release(model_name=name, model_version=1)
        )
        monkeypatch.setattr(module, "newest_observations", lambda *_: seen)
    embeddings = np.random.default_rng(0).normal(size=(COUNT, 1)).astype(np.float32)
    monkeypatch.setattr(drift_module, "embeddings_of", lambda *_: embeddings)
    # Pictures take a second.
    for module in (drift_module, performance_module):
        monkeypatch.setattr(module, "_drawn", lambda *_: {})
    return NotedCatalog()


@pytest.fixture
def store() -> ObjectStore:
    memory = MemoryStore()
    store = cast("ObjectStore", memory)
    known = reference(
        ["a"] * COUNT, ["a"] * COUNT, [[0.9, 0.1]] * COUNT, [[float(i)] for i in range(COUNT)]
    )
    for name in ("damaged", "sound"):
        write_reference(store, name, 1, known)
    key = reference_key("damaged", 1)
    memory.put(key, memory[key][:-100])
    return store


def materialized(name: str, model: str, catalog: NotedCatalog, store: ObjectStore) -> Any:
    """Metadata of an asset of a model."""
    asset = asset_of(name, declaration(model))
    resources = {"catalog": catalog, "object_store": store}
    run = dg.materialize([asset], resources=resources)
    (event,) = run.asset_materializations_for_node(asset.op.name)
    return event.metadata


def test_drift_is_not_looked_for_and_that_is_said(
    catalog: NotedCatalog, store: ObjectStore
) -> None:
    said = materialized("data_drift", "damaged", catalog, store)
    assert catalog.added == []
    assert said["dagster/row_count"].value == 0
    assert said["result"].value.startswith(SAID)


def test_drift_of_another_model_is_looked_for(catalog: NotedCatalog, store: ObjectStore) -> None:
    said = materialized("data_drift", "sound", catalog, store)
    assert [(type(row), row.model_name) for row in catalog.added] == [(DriftWindow, "sound")]
    assert said["dagster/row_count"].value > 0


@pytest.mark.parametrize(("model", "estimated"), [("damaged", None), ("sound", 1)])
def test_accuracy_is_measured_also_without_an_estimate(
    model: str, estimated: int | None, catalog: NotedCatalog, store: ObjectStore
) -> None:
    said = materialized("model_performance", model, catalog, store)
    (row,) = catalog.added
    assert isinstance(row, PerformanceWindow)
    assert (row.model_name, row.accuracy, row.estimated_accuracy) == (model, 1, estimated)
    notes = " ".join(said["notes"].value)
    assert (SAID in notes) == ("Restore the object" in notes) == (model == "damaged")


def test_a_release_without_predictions_has_no_row(
    catalog: NotedCatalog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance_module, "newest_observations", lambda *_: [])
    said = materialized("model_performance", "sound", catalog, store)
    assert catalog.added == []
    assert said["notes"].value == ["No prediction of version 1 of sound yet."]
