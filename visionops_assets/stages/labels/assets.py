"""`labels`: the label that counts of each labelled frame, at one watermark."""

from collections import Counter
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.contradictions import ask_about, settle_frames
from visionops_assets.catalog.datasets import labelled_frames, now
from visionops_assets.catalog.labelling import close_batches
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import TEXT, TIME, columns, frame_of, shown
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import bars, table

COLUMNS = columns(
    ("frame_id", TEXT, "Id of the frame."),
    ("media_id", TEXT, "File it was decoded from."),
    ("frame_index", "int64", "Place among the frames kept of the file, from 0."),
    ("perceptual_hash", TEXT, "Hash by which near duplicates are found, in hexadecimal."),
    ("shard_key", TEXT, "Key of the tar file in the object store that holds it."),
    ("shard_offset", "int64", "Its first byte within that file."),
    ("content_hash", TEXT, "Hash of the encoded frame, in hexadecimal; empty if unknown."),
    ("source", TEXT, "Where the file came from."),
    ("captured_at", TIME, "When it was captured."),
    ("sha256", TEXT, "Hash of the file's bytes, in hexadecimal."),
    ("received_at", TIME, "When the file was acknowledged."),
    ("label", TEXT, "Label that counts: the most trusted one, then the newest."),
    ("origin", TEXT, "Where the label came from, such as an upload or a prediction."),
    ("labelled_at", TIME, "When the label was given."),
    ("contradicted_by", TEXT, "Other labels of the same content, and who gave them; or empty."),
    ("watermark", TIME, "Labels up to this time were read."),
)


def labels_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the labels of a model."""

    @dg.asset(
        key=key_of(model, "labels"),
        group_name="data",
        io_manager_key="tables",
        metadata=shown(COLUMNS),
        # This reads the catalog at a watermark instead of loading every batch: one missing batch
        # must not stop the others.
        deps=["processed_frames", "label_table"],
        kinds={"postgres", "parquet"},
        owners=OWNERS,
    )
    @fail_in_words
    def labels(
        context: dg.AssetExecutionContext, catalog: dg.ResourceParam[Catalog]
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Label of every frame that the model learns from, as of one watermark.

        Frames of equal content have one label. Where persons contradict each other, that of the
        most trusted one counts, and of equally trusted ones the newest; a labelling batch asks
        which one is right.
        """
        with catalog.begin() as session:
            watermark = now(session)
            rows = labelled_frames(session, model, watermark)
            contested = settle_frames(session, model, watermark, rows)
            close_batches(session, model.name, model.labelling.batch_max_age_s)
            asked = ask_about(session, model, contested)
        labelled = frame_of(({**row, "watermark": watermark} for row in rows), COLUMNS)
        context.log_event(
            dg.AssetObservation("label_table", metadata={"watermark": watermark.isoformat()})
        )
        if asked is not None:
            context.log.warning("Labelling batch %d asks which label is right", asked.batch_id)
        return _result(context, labelled, watermark)

    return labels


def _result(
    context: dg.AssetExecutionContext, labelled: pd.DataFrame, watermark: datetime
) -> dg.MaterializeResult[pd.DataFrame]:
    counts = dict(sorted(Counter(labelled["label"]).items()))
    context.log.info("%d labelled frames in %d classes", len(labelled), len(counts))
    metadata: dict[str, Any] = {
        "labelled_frames": len(labelled),
        "classes": len(counts),
        "contradicted_frames": int((labelled["contradicted_by"] != "").sum()),
        "watermark": watermark.isoformat(),
        "first_rows": table(labelled[["frame_id", "label", "origin", "labelled_at"]], max_rows=5),
    }
    if counts:
        metadata["class_counts"] = bars(counts, "class", "frames")
    return dg.MaterializeResult(value=labelled, metadata=metadata)
