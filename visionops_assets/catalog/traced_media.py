"""Lists that a trace follows from and to media: events, frames, labels, equal pictures."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Integer, cast, literal, select, true
from sqlalchemy.orm import Session, aliased, defer

from visionops_assets.catalog.members import holds_it
from visionops_assets.catalog.paging import Listed
from visionops_assets.catalog.schema import (
    AdoptedLabel,
    AnnotationRow,
    ConsumedEvent,
    Frame,
    Media,
    PredictionRow,
    Snapshot,
    SnapshotMedia,
)

LARGE = (
    defer(PredictionRow.probabilities),
    defer(PredictionRow.embedding),
    defer(PredictionRow.quality),
)
"""Columns that nobody traces, and that make most of a row."""


def events_of(media: Media) -> Listed:
    """List the places of a file in the queue, one per announcement."""
    event = ConsumedEvent
    keys = (event.topic, event.topic_partition, event.topic_offset)
    return Listed(select(event).where(event.media_id == media.media_id), keys)


def frames_of_media(media: Media) -> Listed:
    """List the frames of a file, by spec and in the order of the video."""
    query = select(Frame).where(Frame.media_id == media.media_id)
    return Listed(query, (Frame.spec_id, Frame.frame_index), newest_first=False)


def annotations_of_media(media: Media) -> Listed:
    """List what people said of a file, taken back or not, the newest first."""
    query = select(AnnotationRow).where(AnnotationRow.media_id == media.media_id)
    return Listed(query, (AnnotationRow.annotation_id,))


def annotations_of_prediction(prediction: PredictionRow) -> Listed:
    """List what people said of a prediction, the newest first."""
    query = select(AnnotationRow).where(AnnotationRow.prediction_id == prediction.prediction_id)
    return Listed(query, (AnnotationRow.annotation_id,))


def media_of_frame(frame: Frame) -> Listed:
    """List the one file that a frame was decoded from."""
    return Listed(select(Media).where(Media.media_id == frame.media_id), (Media.media_id,))


def media_of_picture(prediction: PredictionRow) -> Listed:
    """List the files whose bytes are those of a predicted image."""
    query = select(Media).where(Media.sha256 == prediction.image_sha256)
    return Listed(query, (Media.media_id,))


def adopted_as(prediction: PredictionRow) -> Listed:
    """List the files that a labelled prediction became."""
    query = (
        select(Media)
        .join(AdoptedLabel, AdoptedLabel.media_id == Media.media_id)
        .join(AnnotationRow, AnnotationRow.annotation_id == AdoptedLabel.label_id)
        .where(AnnotationRow.prediction_id == prediction.prediction_id)
        .distinct()
    )
    return Listed(query, (Media.media_id,))


def adopted_from(media: Media) -> Listed:
    """List the labelled predictions that a file was made of."""
    query = (
        select(PredictionRow)
        .options(*LARGE)
        .join(AnnotationRow, AnnotationRow.prediction_id == PredictionRow.prediction_id)
        .join(AdoptedLabel, AdoptedLabel.label_id == AnnotationRow.annotation_id)
        .where(AdoptedLabel.media_id == media.media_id)
    )
    return Listed(query, (AnnotationRow.annotation_id,))


def predictions_of_picture(media: Media) -> Listed:
    """List the predictions of images that have the bytes of a file."""
    query = select(PredictionRow).options(*LARGE)
    query = query.where(PredictionRow.image_sha256 == media.sha256)
    return Listed(query, (PredictionRow.predicted_at, PredictionRow.prediction_id))


def snapshots_holding(media: Media) -> Listed:
    """List the snapshots with frames of a file, the newest first: side, and indexes of frames."""
    query = (
        select(Snapshot, SnapshotMedia.side, SnapshotMedia.frames)
        .join(SnapshotMedia, holds_it())
        .where(SnapshotMedia.media_id == media.media_id)
    )
    return Listed(query, (Snapshot.created_at, Snapshot.snapshot_id, SnapshotMedia.from_place))


def snapshots_with_frame(frame: Frame) -> Listed:
    """List the snapshots that a frame is a member of, the newest first, with its side."""
    query = (
        select(Snapshot, SnapshotMedia.side)
        .join(SnapshotMedia, holds_it())
        .where(
            SnapshotMedia.media_id == frame.media_id,
            SnapshotMedia.spec_id == frame.spec_id,
            SnapshotMedia.frames.contains(literal(frame.frame_index, Integer)),
        )
    )
    return Listed(query, (Snapshot.created_at, Snapshot.snapshot_id))


def frames_of_snapshot(snapshot: Snapshot) -> Listed:
    """List the members of a snapshot, with their sides. None before they are noted."""
    run = SnapshotMedia
    place = -1 if snapshot.place is None else snapshot.place
    of_run = (
        select(Frame)
        .where(
            Frame.media_id == run.media_id,
            Frame.spec_id == run.spec_id,
            run.frames.contains(cast(Frame.frame_index, Integer)),
        )
        # So that PostgreSQL goes from run to run, and does not join all to sort them for one page.
        .offset(0)
        .lateral()
    )
    frame = aliased(Frame, of_run)
    query = (
        select(frame, run.side)
        .select_from(run)
        .join(frame, true())
        .where(
            run.model_name == snapshot.model_name,
            run.from_place <= place,
            (run.to_place.is_(None)) | (run.to_place > place),
        )
    )
    total = snapshot.train_frames + snapshot.holdout_frames
    keys = (run.from_place, run.media_id, frame.frame_index)
    return Listed(query, keys, newest_first=False, count=total, indexed_keys=2)


def unnoted_snapshot_ids(session: Session) -> Sequence[str]:
    """Return the snapshots whose members are not noted yet, the newest first."""
    query = select(Snapshot.snapshot_id).where(Snapshot.place.is_(None))
    return session.scalars(query.order_by(Snapshot.created_at.desc()).limit(20)).all()


def find_media(session: Session, media_id: UUID) -> Media | None:
    """Return a media file, whatever its state."""
    return session.get(Media, media_id)
