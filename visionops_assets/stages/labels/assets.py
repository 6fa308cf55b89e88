"""`labels`: what each labelled frame shows, at one watermark."""

from collections import Counter
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import labelled_frames, now
from visionops_assets.settings import current_spec, load_settings
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import picture, table
from visionops_assets.vision.plots import class_counts

COLUMNS = [
    "frame_id",
    "media_id",
    "frame_index",
    "perceptual_hash",
    "shard_key",
    "sha256",
    "received_at",
    "label",
    "origin",
    "labelled_at",
    "watermark",
]


@dg.asset(
    group_name="data",
    io_manager_key="tables",
    # Reads the catalog at a watermark instead of loading every batch: one missing batch must not
    # stop the others.
    deps=["processed_frames", "label_table"],
    kinds={"postgres", "parquet"},
    owners=OWNERS,
)
def labels(
    context: dg.AssetExecutionContext, catalog: Catalog
) -> dg.MaterializeResult[pd.DataFrame]:
    """Newest label of every labelled frame in the catalog, as of one watermark.

    One row a frame: its id, media, hashes and shard; `label`, who said so (`origin`) and when.
    """
    spec = current_spec(load_settings())
    with catalog.begin() as session:
        watermark = now(session)
        rows = labelled_frames(session, spec.spec_id, watermark)
    labelled = pd.DataFrame(rows, columns=COLUMNS).assign(watermark=watermark)
    labelled = labelled.astype({"frame_id": str, "media_id": str})
    counts = dict(sorted(Counter(labelled["label"]).items()))
    context.log.info("%d labelled frames in %d classes", len(labelled), len(counts))
    metadata: dict[str, Any] = {
        "labelled_frames": len(labelled),
        "classes": len(counts),
        "watermark": watermark.isoformat(),
        "first_rows": table(labelled[["frame_id", "label", "origin", "labelled_at"]], max_rows=5),
    }
    if counts:
        metadata["class_counts"] = picture(class_counts(counts), "frames by class")
    return dg.MaterializeResult(value=labelled, metadata=metadata)
