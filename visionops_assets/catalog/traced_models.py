"""Lists that a trace follows from and to versions: snapshots, predictions, decisions."""

from sqlalchemy import false, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.paging import Listed
from visionops_assets.catalog.schema import (
    Decision,
    LabellingBatch,
    LabellingItem,
    PredictionRow,
    Release,
    Snapshot,
    TrainedVersion,
)
from visionops_assets.catalog.traced_media import LARGE
from visionops_assets.contracts import Outcome


def find_version(session: Session, model_name: str, model_version: int) -> TrainedVersion | None:
    """Return a version; its release or its predictions may be all that is known of it."""
    known = session.get(TrainedVersion, (model_name, model_version))
    if known is not None:
        return known
    for table, at in ((Release, Release.released_at), (PredictionRow, PredictionRow.predicted_at)):
        query = (
            select(table.snapshot_id, at)
            .where(table.model_name == model_name, table.model_version == model_version)
            .order_by(at)
            .limit(1)
        )
        if (row := session.execute(query).first()) is not None:
            return TrainedVersion(
                model_name=model_name,
                model_version=model_version,
                snapshot_id=row[0],
                registered_at=row[1],
            )
    return None


def snapshot_of_version(version: TrainedVersion) -> Listed:
    """List the one snapshot that a version learned from."""
    query = select(Snapshot).where(Snapshot.snapshot_id == version.snapshot_id)
    return Listed(query, (Snapshot.snapshot_id,))


def versions_trained_on(snapshot: Snapshot) -> Listed:
    """List the versions that learned from a snapshot, the newest first."""
    query = select(TrainedVersion).where(TrainedVersion.snapshot_id == snapshot.snapshot_id)
    return Listed(query, (TrainedVersion.model_version,))


def predictions_by(version: TrainedVersion) -> Listed:
    """List what a version answered, the newest first."""
    query = (
        select(PredictionRow)
        .options(*LARGE)
        .where(
            PredictionRow.model_name == version.model_name,
            PredictionRow.model_version == version.model_version,
        )
    )
    return Listed(query, (PredictionRow.predicted_at, PredictionRow.prediction_id))


def decisions_about(version: TrainedVersion) -> Listed:
    """List the decisions about a version as champion, the newest first."""
    query = select(Decision).where(
        Decision.model_name == version.model_name,
        Decision.model_version == version.model_version,
    )
    return Listed(query, (Decision.decision_id,))


def decisions_after(prediction: PredictionRow) -> Listed:
    """List the decisions about the version that were made after it answered, the newest first."""
    query = select(Decision).where(
        Decision.model_name == prediction.model_name,
        Decision.model_version == prediction.model_version,
        Decision.decided_at >= prediction.predicted_at,
    )
    return Listed(query, (Decision.decision_id,))


def releases_of(version: TrainedVersion) -> Listed:
    """List the times a version became champion, the newest first."""
    query = select(Release).where(
        Release.model_name == version.model_name, Release.model_version == version.model_version
    )
    return Listed(query, (Release.release_id,))


def snapshot_after(decision: Decision) -> Listed:
    """List the snapshot that answers a decision to retrain: the first one cut after it."""
    first = (
        select(Snapshot.snapshot_id)
        .where(
            Snapshot.model_name == decision.model_name,
            Snapshot.watermark > decision.decided_at,
        )
        .order_by(Snapshot.watermark)
        .limit(1)
        .scalar_subquery()
    )
    is_asked = decision.outcome == Outcome.RETRAIN.value
    query = select(Snapshot).where(Snapshot.snapshot_id == first)
    return Listed(query if is_asked else query.where(false()), (Snapshot.snapshot_id,))


def labelling_batches_of(decision: Decision) -> Listed:
    """List the labelling batches that a decision opened."""
    query = select(LabellingBatch).where(LabellingBatch.decision_id == decision.decision_id)
    return Listed(query, (LabellingBatch.batch_id,))


def labelling_batches_with(prediction: PredictionRow) -> Listed:
    """List the labelling batches that ask what a predicted image shows."""
    query = (
        select(LabellingBatch)
        .join(LabellingItem, LabellingItem.batch_id == LabellingBatch.batch_id)
        .where(LabellingItem.prediction_id == prediction.prediction_id)
    )
    return Listed(query, (LabellingBatch.batch_id,))
