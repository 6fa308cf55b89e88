"""A damaged reference of one model: it is said, and all that needs none goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import dagster as dg
import numpy as np
import pytest

from tests.declared import use
from tests.monitoring.references import reference
from tests.monitoring.test_scoring import observation
from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.schema import DriftWindow, PerformanceWindow, Release
from visionops_assets.monitoring.reference_files import reference_key, write_reference
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import load_settings
from visionops_assets.stages.monitoring import drift as drift_module
from visionops_assets.stages.monitoring import performance as performance_module

COUNT = 100
SAID = "The reference models/damaged/1/reference.npz is not what was written"


class CatalogOfTwo:
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
def catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CatalogOfTwo]:
    """A damaged model before a sound one, whose predictions are all labelled."""
    releases = [Release(model_name=name, model_version=1) for name in ("damaged", "sound")]
    seen = [observation("a", "a")] * COUNT
    use(monkeypatch, tmp_path / "models", "damaged")
    for module in (drift_module, performance_module):
        monkeypatch.setattr(module, "monitored_releases", lambda _: releases)
        monkeypatch.setattr(module, "newest_observations", lambda *_: seen)
    embeddings = np.random.default_rng(0).normal(size=(COUNT, 1)).astype(np.float32)
    monkeypatch.setattr(drift_module, "embeddings_of", lambda *_: embeddings)
    # Pictures take a second.
    for module in (drift_module, performance_module):
        monkeypatch.setattr(module, "_drawn", lambda *_: {})
    yield CatalogOfTwo()
    load_settings.cache_clear()


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


def materialized(asset: dg.AssetsDefinition, catalog: CatalogOfTwo, store: ObjectStore) -> Any:
    """Rows and metadata of an asset."""
    resources = {"catalog": catalog, "object_store": store, "tables": dg.mem_io_manager}
    run = dg.materialize([asset], resources=resources)
    (event,) = run.asset_materializations_for_node(asset.key.path[-1])
    return run.output_for_node(asset.key.path[-1]), event.metadata


def test_drift_of_the_others_is_looked_for(catalog: CatalogOfTwo, store: ObjectStore) -> None:
    rows, said = materialized(drift_module.data_drift, catalog, store)
    assert [(type(row), row.model_name) for row in catalog.added] == [(DriftWindow, "sound")]
    assert set(rows["model_name"]) == {"sound"}
    assert said["result"].value.startswith(SAID)
    assert set(said["models"].value) == {"damaged", "sound"}


def test_accuracy_is_measured_without_an_estimate(
    catalog: CatalogOfTwo, store: ObjectStore
) -> None:
    _, said = materialized(performance_module.model_performance, catalog, store)
    damaged, sound = catalog.added
    assert isinstance(damaged, PerformanceWindow)
    assert (damaged.model_name, damaged.accuracy, damaged.estimated_accuracy) == (
        "damaged",
        1,
        None,
    )
    assert (sound.accuracy, sound.estimated_accuracy) == (1, 1)
    (note,) = said["notes"].value
    assert SAID in note
    assert "Restore the object" in note


def test_a_release_without_predictions_hides_no_other(
    catalog: CatalogOfTwo, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(_session: object, release: Release, _count: int) -> list[Any]:
        return [observation("a", "a")] * COUNT if release.model_name == "sound" else []

    monkeypatch.setattr(performance_module, "newest_observations", of)
    _, said = materialized(performance_module.model_performance, catalog, store)
    assert [row.model_name for row in catalog.added] == ["sound"]
    assert said["notes"].value == ["No prediction of version 1 of damaged yet."]
