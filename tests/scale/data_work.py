"""`python -m tests.scale.data_work STEPS SCHEMA FOLDER`: measured pieces of work, in one process.

Prints a line of JSON of each: seconds, and the most memory that the process had until then.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from sqlalchemy import event

from tests.scale.lineage_rows import MODEL, SNAPSHOTS, VIDEO_FRAMES, uuid_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.contradictions import settle_frames
from visionops_assets.catalog.datasets import labelled_frames, now
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.lineage.records import Direction, Kind
from visionops_assets.lineage.tracing import MAX_LIMIT, NEAR, Wanted, trace
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import frame_of
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import TRAIN
from visionops_assets.resources.snapshot_reading import read_snapshot
from visionops_assets.stages.datasets.cutting import Cutter
from visionops_assets.stages.datasets.members import classes_short_of_holdout, groups_on_both_sides
from visionops_assets.stages.labels.assets import COLUMNS
from visionops_assets.vision.selection import prefetch, read_ahead

SIZE_PX = 64
LABELS_FILE = "labels.parquet"
SNAPSHOT_FILE = "snapshot.txt"
BATCH = 64
BATCHES = 500
"""Batches that the loader gives; of a large set they come from several windows."""


def made_model() -> ModelDeclaration:
    """Return a model that learns from all frames that are made, and has no snapshot yet."""
    model = {"name": "made", "task": "classification", "frames": {"size_px": SIZE_PX}}
    return ModelDeclaration.model_validate(model)


def read_labels(folder: Path) -> Mapping[str, Any]:
    """Do the work of the asset `labels`."""
    model = made_model()
    with Catalog().begin() as session:
        watermark = now(session)
        rows = labelled_frames(session, model, watermark)
        settle_frames(session, model, watermark, rows)
    labels = frame_of(({**row, "watermark": watermark} for row in rows), COLUMNS)
    labels.to_parquet(folder / LABELS_FILE, index=False)
    return {"frames": len(labels)}


def cut(folder: Path) -> Mapping[str, Any]:
    """Do the work of the asset `dataset_snapshot` and its checks."""
    model, labels = made_model(), pd.read_parquet(folder / LABELS_FILE)
    made = Cutter(dg.build_asset_context(), model, Catalog(), ObjectStore()).cut(labels)
    assert groups_on_both_sides(made.members) == []
    minimum = model.snapshots.min_holdout_per_class
    assert classes_short_of_holdout(made.members, model.task, minimum) == {}
    (folder / SNAPSHOT_FILE).write_text(made.snapshot.snapshot_id)
    return {"members": len(made.members)}


def load(folder: Path) -> Mapping[str, Any]:
    """Read batches as a training does, without a network."""
    from visionops_assets.tasks.registry import judging, learning  # noqa: PLC0415
    from visionops_assets.vision.reading_order import BlockShuffled  # noqa: PLC0415

    model, rng = made_model(), np.random.default_rng(0)
    snapshot_id = (folder / SNAPSHOT_FILE).read_text()
    started_s = time.perf_counter()
    data = read_snapshot(ObjectStore(), snapshot_id, FramePlaces(Catalog()))
    assert data.missing == 0
    rows = np.flatnonzero(data.members["split"] == TRAIN)
    labels = [(str(each),) for each in data.members["label"].iloc[rows]]
    targets = judging(model.task).targets(labels, sorted({each for (each,) in labels}))
    sampler = BlockShuffled(
        targets,
        SIZE_PX,
        lambda some: learning(model.task).sampler(some, rng),
        lambda places: prefetch(data.images, rows[places]),
        rng,
    )
    drawn = (rows[sampler.batch(BATCH)] for _ in range(BATCHES))
    seen, first_s = 0, 0.0
    for _, frames in read_ahead(data.images, drawn):
        assert frames.shape == (BATCH, SIZE_PX, SIZE_PX, 3)
        first_s = first_s or time.perf_counter() - started_s
        seen += len(frames)
    return {"frames": seen, "first_batch_s": first_s}


def traces() -> Iterator[tuple[Kind, str]]:
    """Name things of each kind: of many connections, and of few."""
    yield Kind.PREDICTION, str(uuid_of("prediction", 7))
    yield Kind.PREDICTION, str(uuid_of("prediction", 2))
    yield Kind.MEDIA, str(uuid_of("media", 1))
    yield Kind.MEDIA, str(uuid_of("media", 2))
    yield Kind.FRAME, str(uuid_of("frame", VIDEO_FRAMES + 5))
    yield Kind.DATASET, "ds-1"
    yield Kind.DATASET, f"ds-{SNAPSHOTS}"
    yield Kind.MODEL, f"{MODEL}:1"
    yield Kind.MODEL, f"{MODEL}:{SNAPSHOTS}"
    yield Kind.DECISION, "1"


def trace_all(_folder: Path) -> Mapping[str, Any]:
    """Trace things of each kind up, down, and both ways, also with long lists."""
    ways = [(each,) for each in Direction] + [tuple(Direction)]
    slowest: tuple[float, str] = (0.0, "")
    count = 0
    for kind, name in traces():
        for way, limit in [(way, limit) for way in ways for limit in (NEAR, MAX_LIMIT)]:
            started_s = time.perf_counter()
            with Catalog().begin() as session:
                trace(session, kind, name, Wanted(tuple(way), limit))
            told = f"{kind.value} {name} {'+'.join(way)} --limit {limit}"
            slowest = max(slowest, (time.perf_counter() - started_s, told))
            count += 1
    return {"traces": count, "slowest_s": slowest[0], "slowest": slowest[1]}


STEPS: Mapping[str, Callable[[Path], Mapping[str, Any]]] = {
    "labels": read_labels,
    "cut": cut,
    "load": load,
    "trace": trace_all,
}


def main(steps: str, schema: str, folder: Path) -> None:
    """Do pieces of work, named with commas, in a schema, and print what each took."""

    @event.listens_for(Catalog().engine, "connect")
    def use_schema(connection: Any, _record: object) -> None:
        connection.execute(f"SET search_path = {schema}")
        connection.commit()

    for step in steps.split(","):
        started_s = time.perf_counter()
        found = STEPS[step](folder)
        seconds = time.perf_counter() - started_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
        measured = {"step": step, "seconds": seconds, "peak_mb": peak_mb, **found}
        print(json.dumps(measured), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
