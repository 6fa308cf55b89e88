"""`label_quality`: the labels of a snapshot that are likely wrong, and a batch that asks people."""

from typing import Any
from uuid import UUID

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.doubted import doubted_subjects
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.labelling import open_batch
from visionops_assets.catalog.schema import TrainedVersion
from visionops_assets.catalog.versions import newest_version
from visionops_assets.contracts import Purpose
from visionops_assets.errors import NotFoundError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.snapshot_files import TRAIN
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.labels.doubts import DOUBTS, Doubted
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import bars, picture, table, trace_command
from visionops_assets.vision.plots import montage

FRAMES_SHOWN = 24
KINDS_SHOWN = 24
MOST_ASKED = 200
"""Items of a batch: an hour or two of a person's work. What is left is asked for later."""


def label_quality_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the doubts about a model's labels."""

    @dg.asset(
        key=key_of(model, "label_quality"),
        group_name="data",
        io_manager_key="tables",
        metadata=shown(DOUBTS),
        # The newest version is read from the catalog: a later training may be under way.
        deps=[key_of(model, "trained_model")],
        kinds={"pytorch", "scikitlearn", "parquet"},
        owners=OWNERS,
    )
    @fail_in_words
    def label_quality(
        context: dg.AssetExecutionContext,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Labels that are likely wrong, of the snapshot that the newest version was trained on.

        A label is doubted by models that never saw its group: logistic regressions on what the
        version's network sees, and confident learning on their answers. Those of the training side
        are asked for by a labelling batch (`conflicts`), whose answers train alone. Those of the
        holdout are listed only: to correct what a model doubts would flatter that model.
        """
        return _doubt(context, model, catalog, object_store, tracking)

    return label_quality


def _doubt(
    context: dg.AssetExecutionContext,
    model: ModelDeclaration,
    catalog: Catalog,
    object_store: ObjectStore,
    tracking: Tracking,
) -> dg.MaterializeResult[pd.DataFrame]:
    # PyTorch and scikit-learn take seconds to import, and most runs doubt nothing.
    from visionops_assets.stages.labels.doubting import doubt_labels  # noqa: PLC0415

    with catalog.begin() as session:
        version = newest_version(session, model.name)
    if version is None:
        raise NotFoundError(f"{model.name} has no version yet: a training doubts its labels.")
    doubted = doubt_labels(
        object_store, tracking, FramePlaces(catalog), version, context.log.warning, FRAMES_SHOWN
    )
    asked = _ask(catalog, model, version, doubted.table)
    context.log.info(
        "%d of %d labels of %s are doubted, %d are asked for",
        *(len(doubted.table), doubted.judged_frames, version.snapshot_id, asked),
    )
    return dg.MaterializeResult(
        value=doubted.table,
        data_version=dg.DataVersion(f"{model.name} {version.model_version}"),
        metadata={
            "model_version": version.model_version,
            "snapshot_id": version.snapshot_id,
            "trace": trace_command("dataset", version.snapshot_id),
            "judged_frames": doubted.judged_frames,
            "doubted_frames": len(doubted.table),
            "asked_for": asked,
            "first_rows": table(doubted.table.round(4)),
            **_pictures(doubted),
        },
    )


def _ask(
    catalog: Catalog, model: ModelDeclaration, version: TrainedVersion, doubts: pd.DataFrame
) -> int:
    """Open a batch that asks for doubted labels of the training side; return its items."""
    frames = [UUID(key) for key in doubts.loc[doubts["split"] == TRAIN, "frame_id"]]
    interval_s = model.frames.video_sample_interval_s
    with catalog.begin() as session:
        subjects = doubted_subjects(session, model.name, frames, interval_s)[:MOST_ASKED]
        batch = open_batch(
            session,
            model.name,
            Purpose.CONFLICTS,
            media=subjects,
            model_version=version.model_version,
        )
        return 0 if batch is None else len(subjects)


def _pictures(doubted: Doubted) -> dict[str, Any]:
    if doubted.table.empty:
        return {}
    pairs = doubted.table["label"] + " as " + doubted.table["likely_label"]
    commonest = pairs.value_counts().head(KINDS_SHOWN)
    titles = list(pairs.head(len(doubted.frames)))
    return {
        "commonest_doubts": bars(
            {str(key): int(count) for key, count in commonest.items()}, "label as likely", "frames"
        ),
        "doubted": picture(montage(doubted.frames, titles), "doubted labels"),
    }
