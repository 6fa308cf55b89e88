"""How long an acknowledged upload waits to be processed, on the running stack."""

import time
from datetime import UTC, datetime
from functools import partial

import numpy as np
from sqlalchemy import func, select

from benchmarks.measure import Figure, Question, compare
from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import Scope
from visionops_assets.errors import VisionOpsError
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_frame
from visionops_client.ingest import IngestClient

SOURCE = "benchmark"
UPLOADS = 200
ROUNDS = 3
NOISE_SIDE_PX = 82
"""Noise does not compress: a PNG of this side has 20 KB."""
PATIENCE_S = 300.0


def measure_delay(settings: Settings) -> list[Figure]:
    """Measure the median delay and the 99th percentile of a burst of uploads.

    The limit is the wait for a batch to fill: no file need wait longer for others.

    Raises:
        ServerUnreachableError: the running stack does not answer.
        VisionOpsError: the uploads were not processed in time.
    """
    key = keys.own_key(settings, Catalog(), SOURCE, [Scope.INGEST])
    with IngestClient(settings.ingest_url, key) as client:
        bursts = [_burst(client) for _ in range(1 + ROUNDS)]
    limit_name = "the longest wait for a batch to fill (VISIONOPS_BATCH_MAX_WAIT_S)"
    figures = []
    for name, percentile in (("median", 50), ("99th percentile", 99)):
        question = Question(
            f"from acknowledged to processed, {name} of {UPLOADS}", "s", limit_name, 0.5, "less"
        )
        delays_s = iter([float(np.percentile(burst, percentile)) for burst in bursts])
        figures.append(
            compare(
                question,
                ours=partial(next, delays_s),
                limit=lambda: settings.batch_max_wait_s,
                repeats=ROUNDS,
            )
        )
    return figures


def _burst(client: IngestClient) -> list[float]:
    """Upload files at once, and return how long each of them waited, in seconds."""
    began = datetime.now(UTC)
    rng = np.random.default_rng()
    for _ in range(UPLOADS):
        pixels = rng.integers(0, 256, (NOISE_SIDE_PX, NOISE_SIDE_PX, 3), dtype=np.uint8)
        client.upload(encode_frame(pixels), source=SOURCE)
    deadline_s = time.monotonic() + PATIENCE_S
    delay_s = func.extract("epoch", Media.processed_at - Media.stored_at)
    query = select(delay_s).where(
        Media.source == SOURCE, Media.stored_at >= began, Media.processed_at.is_not(None)
    )
    while time.monotonic() < deadline_s:
        with Catalog().begin() as session:
            delays_s = [float(delay) for delay in session.scalars(query)]
        if len(delays_s) == UPLOADS:
            return delays_s
        time.sleep(1)
    raise VisionOpsError(
        f"{len(delays_s)} of {UPLOADS} uploads were processed within {PATIENCE_S:.0f} s."
    )
