"""Datasets and lineage of a large installation: rows are made, and each piece of work is measured.

The rows lie in a schema of their own, so that a stack that does something else is not disturbed.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from alembic import command
from sqlalchemy import create_engine, text

from tests.scale.data_work import LABELS_FILE, SIZE_PX, SNAPSHOT_FILE, made_model
from tests.scale.lineage_rows import FRAME_BYTES, PER_BATCH, make_rows, shard_keys
from visionops_assets.catalog.migrate import alembic_config
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import snapshot_prefix
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_frame
from visionops_assets.vision.shards import digest_of

MOST_SNAPSHOT_S = 60.0
MOST_MB = 2_000.0
MOST_TRACE_S = 1.0
LOOKS = 256
PATIENCE_S = 1_800.0
EACH = ("labels", "cut", "load", "trace")
"""The steps, a process for each: by that each has a memory of its own."""
ALL_IN_ONE = (",".join(EACH),)


@dataclass
class DataFigures:
    """What the work took. `forget_s` is None where it was not measured.

    A snapshot is two steps, each a process of its own: labels are read, and members are cut. Its
    time is that of both, its memory that of the larger. `missed` names the goals that were not
    reached.
    """

    frames: int
    predictions: int
    snapshot_s: float
    snapshot_peak_mb: float
    labels_s: float
    labels_peak_mb: float
    cut_s: float
    cut_peak_mb: float
    loader_frames: int
    loader_first_batch_s: float
    loader_peak_mb: float
    traces: int
    trace_s_max: float
    trace_slowest: str
    forget_s: float | None = None
    missed: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return all figures by name."""
        return asdict(self)


def run(
    settings: Settings, folder: Path, rows: int, processes: Sequence[str] = EACH
) -> DataFigures:
    """Make as many files and twice as many predictions, and measure the work on them.

    `processes` are the steps of each process, with commas.
    """
    store, keys = ObjectStore(), shard_keys(rows)
    try:
        shard = made_shard()
        for key in keys:
            store.put(key, shard)
        with made_schema(settings, rows) as schema:
            done = [each for words in processes for each in _done(words, schema, folder)]
    finally:
        _remove(store, keys, folder)
    return figures_of(rows, {each["step"]: each for each in done})


def figures_of(rows: int, steps: dict[str, dict[str, Any]]) -> DataFigures:
    """Put together what the steps took, and judge it by the goals."""
    labels, made, loaded, traced = (steps[name] for name in ("labels", "cut", "load", "trace"))
    figures = DataFigures(
        frames=made["members"],
        predictions=2 * rows,
        snapshot_s=round(labels["seconds"] + made["seconds"], 2),
        snapshot_peak_mb=round(max(labels["peak_mb"], made["peak_mb"]), 1),
        labels_s=round(labels["seconds"], 2),
        labels_peak_mb=round(labels["peak_mb"], 1),
        cut_s=round(made["seconds"], 2),
        cut_peak_mb=round(made["peak_mb"], 1),
        loader_frames=loaded["frames"],
        loader_first_batch_s=round(loaded["first_batch_s"], 2),
        loader_peak_mb=round(loaded["peak_mb"], 1),
        traces=traced["traces"],
        trace_s_max=round(traced["slowest_s"], 3),
        trace_slowest=traced["slowest"],
    )
    judged = {
        f"a snapshot in {MOST_SNAPSHOT_S:g} s": figures.snapshot_s <= MOST_SNAPSHOT_S,
        f"a snapshot in {MOST_MB:,.0f} MB": figures.snapshot_peak_mb <= MOST_MB,
        f"a loader in {MOST_MB:,.0f} MB": figures.loader_peak_mb <= MOST_MB,
        f"each trace in {MOST_TRACE_S:g} s": figures.trace_s_max <= MOST_TRACE_S,
    }
    figures.missed = [goal for goal, is_met in judged.items() if not is_met]
    return figures


def made_looks() -> list[bytes]:
    """Return `LOOKS` frames of `FRAME_BYTES` each, grey from black to white."""
    grey = (np.full((SIZE_PX, SIZE_PX, 3), look, np.uint8) for look in range(LOOKS))
    frames = [encode_frame(image).ljust(FRAME_BYTES, b"\0") for image in grey]
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    return frames


def made_shard() -> bytes:
    """Return frames one after the other, the looks again and again: every shard has the same."""
    looks = made_looks()
    return b"".join(looks[number % LOOKS] for number in range(PER_BATCH))


@contextmanager
def made_schema(settings: Settings, rows: int) -> Iterator[str]:
    """Make the rows in a schema of their own for the length of the block."""
    schema = f"made_{uuid4().hex[:8]}"
    engine = create_engine(settings.postgres_url.get_secret_value())
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
            connection.execute(text(f"SET LOCAL search_path = {schema}"))
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            hashes = [digest_of(look) for look in made_looks()]
            make_rows(connection, rows, 2 * rows, made_model().frames.spec_id, hashes)
        yield schema
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
        engine.dispose()


def _done(steps: str, schema: str, folder: Path) -> list[dict[str, Any]]:
    words = [sys.executable, "-m", "tests.scale.data_work", steps, schema, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _remove(store: ObjectStore, keys: list[str], folder: Path) -> None:
    """Take what was made out of the store again."""
    cut = folder / SNAPSHOT_FILE
    if cut.exists():
        keys = keys + store.list_keys(f"{snapshot_prefix(cut.read_text())}/")
    for key in keys:
        store.delete(key)
    (folder / LABELS_FILE).unlink(missing_ok=True)
