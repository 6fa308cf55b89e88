"""Every prediction is observed, also while the queue is away: recorded once, or counted as lost."""

import os
import re
import signal
import time
from collections.abc import Iterator
from uuid import UUID

import httpx
import numpy as np
import pytest
from sqlalchemy import select
from tritonclient.grpc import InferenceServerClient, InferInput

from tests.integration.released_models import IMAGE, IMAGES, Serving
from tests.queues.second_broker import broker_pid
from visionops_assets.catalog.schema import PredictionRow
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_frame

BATCH = 32
BUFFERED = 10_000
"""Each instance of the model has a buffer of its own, and the stack of tests has one."""
TOO_MANY = 4_000
SLOWEST_ANSWER_S = 5.0


@pytest.fixture
def observed(stack: Settings) -> Iterator[Serving]:
    serving = Serving(stack)
    serving.release(1)
    yield serving
    serving.unload()


def predict_batches(serving: Serving, predictions: int) -> set[UUID]:
    """Ask for many predictions, 32 images a request, and return their ids."""
    images = InferInput("IMAGE", [BATCH, 1], "BYTES")
    images.set_data_from_numpy(np.array([[IMAGE]] * BATCH, dtype=np.object_))
    ids: set[UUID] = set()
    with InferenceServerClient(serving.settings.triton_grpc_address) as triton:
        while len(ids) < predictions:
            started_s = time.monotonic()
            answer = triton.infer(serving.model, [images]).as_numpy("PREDICTION_ID")
            assert time.monotonic() - started_s < SLOWEST_ANSWER_S
            ids |= {UUID(value.decode()) for value in answer[:, 0]}
    return ids


def counted(serving: Serving) -> tuple[int, int]:
    """Return what Triton's metrics say was recorded and dropped."""
    text = httpx.get(serving.settings.triton_metrics_url, trust_env=False).text
    counts = []
    for name in ("recorded", "dropped"):
        pattern = rf'^visionops_predictions_{name}_total{{.*model="{serving.model}".*}} (\S+)$'
        counts.append(int(sum(map(float, re.findall(pattern, text, re.MULTILINE)))))
    return counts[0], counts[1]


def wait_until_counted(serving: Serving, predictions: int) -> tuple[int, int]:
    for _ in range(240):
        recorded, dropped = counted(serving)
        if recorded + dropped >= predictions:
            break
        time.sleep(0.25)
    return recorded, dropped


def in_catalog(serving: Serving, at_least: int) -> list[PredictionRow]:
    """Return the model's predictions in the catalog, once the sensors brought so many there."""
    for _ in range(240):
        with serving.catalog.begin() as session:
            query = select(PredictionRow).where(PredictionRow.model_name == serving.model)
            rows = list(session.scalars(query))
        if len(rows) >= at_least:
            break
        time.sleep(0.5)
    return rows


def test_a_prediction_reaches_the_catalog_with_all_that_is_known_of_it(observed: Serving) -> None:
    images = [encode_frame(image) for image in IMAGES] * 40
    answers = {a.prediction_id: a for a in observed.predict(*images)}
    rows = in_catalog(observed, len(answers))
    assert {row.prediction_id for row in rows} == answers.keys()
    for row in rows:
        answer = answers[row.prediction_id]
        assert (row.label, row.model_version, row.role) == (answer.label, 1, "champion")
        assert row.probabilities == pytest.approx(answer.probabilities)
        assert row.embedding == pytest.approx(answer.embedding)
        assert row.latency_ms > 0
        assert (row.image_key is not None) == (row.prediction_id.int % 1_000_000 < 10_000)
    for key in (row.image_key for row in rows if row.image_key):
        assert observed.store.get(key) in images


def test_while_the_queue_is_away_serving_goes_on_and_losses_are_counted_exactly(
    observed: Serving,
) -> None:
    broker = broker_pid(observed.settings)
    os.kill(broker, signal.SIGSTOP)  # Harsher than a crash: connections stay open and say nothing.
    try:
        made = predict_batches(observed, BUFFERED + TOO_MANY)
        recorded, _ = counted(observed)
        assert recorded == 0
    finally:
        os.kill(broker, signal.SIGCONT)
    made |= predict_batches(observed, BATCH)
    recorded, dropped = wait_until_counted(observed, len(made))
    assert recorded + dropped == len(made)
    assert 0 < dropped < BUFFERED
    known = [row.prediction_id for row in in_catalog(observed, recorded)]
    assert len(known) == len(set(known)) == recorded
    assert made >= set(known)
