"""Bytes of a model that somebody altered in the store: they are told of, and stop nothing else."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import select

from tests.defined import asset_of
from tests.integration.decided_rows import predict
from tests.integration.released_models import CARD, Serving, decided_model
from visionops_assets.catalog.schema import DriftWindow, PerformanceWindow
from visionops_assets.monitoring.reference_files import Reference, write_reference
from visionops_assets.settings import Settings

FRAMES = 100


@pytest.fixture
def serving(quiet_stack: Settings) -> Iterator[Serving]:
    with decided_model(quiet_stack) as serving:
        yield serving


def reference() -> Reference:
    """Answers that are all right, on pictures that are all alike."""
    return Reference(
        classes=np.array(CARD.classes),
        labels=np.array(["a"] * FRAMES),
        answered=np.array(["a"] * FRAMES),
        probabilities=np.array([[0.8, 0.1, 0.1]] * FRAMES, np.float32),
        confidence=np.full(FRAMES, 0.8, np.float32),
        embeddings=np.zeros((FRAMES, 1), np.float32),
        quality=np.zeros((FRAMES, 4), np.float32),
    )


def told_by(name: str, serving: Serving) -> dict[str, Any]:
    """Metadata of an asset of the model, which is materialized."""
    asset = asset_of(name)
    resources = {
        "catalog": serving.catalog,
        "object_store": serving.store,
        "tables": dg.mem_io_manager,
    }
    run = dg.materialize([asset], resources=resources)
    (event,) = run.asset_materializations_for_node(asset.op.name)
    return {name: said.value for name, said in event.metadata.items()}


def test_a_reference_that_was_altered(serving: Serving) -> None:
    """A flipped bit in what monitoring compares with: it is said, and accuracy is measured on."""
    predict(serving, FRAMES, right=True)
    key = write_reference(serving.store, serving.model, 1, reference())
    sound = told_by("data_drift", serving)["result"]
    assert sound.endswith(f"in {FRAMES} predictions.")
    data = bytearray(serving.store.get(key))
    data[len(data) // 2] ^= 1
    serving.store.put(key, bytes(data))
    said = f"The reference {key} is not what was written"
    assert told_by("data_drift", serving)["result"].startswith(said)
    assert any(said in note for note in told_by("model_performance", serving)["notes"])
    with serving.catalog.begin() as session:
        measured = session.scalars(
            select(PerformanceWindow).where(PerformanceWindow.model_name == serving.model)
        ).all()
        compared = session.scalars(
            select(DriftWindow).where(DriftWindow.model_name == serving.model)
        ).all()
    assert [(row.accuracy, row.estimated_accuracy) for row in measured] == [(1, None)]
    assert len(compared) == 1
