"""Forgets media in the catalog: rows that go, rows that stay as tombstones, objects to erase.

A forgotten file keeps its row, without what was said of it: by its hash the same content is known,
and refused. Objects are erased by those who call this.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    any_,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from visionops_assets.catalog.members import holds_it
from visionops_assets.catalog.schema import (
    AdoptedLabel,
    AnnotationRow,
    ErasedObject,
    Frame,
    LabellingItem,
    Media,
    MediaUploader,
    Outbox,
    PredictionRow,
    Release,
    Snapshot,
    SnapshotMedia,
    TrainedVersion,
)
from visionops_assets.contracts import MediaStatus

TOMBSTONES = "forgotten/"
"""Folder of the bucket with one object per forgotten content: a restored database knows none."""
_NOT_ALIVE = (MediaStatus.RECEIVING, MediaStatus.FORGOTTEN)


@dataclass(frozen=True)
class Traces:
    """The places where some media, or what came of them, are."""

    media: int
    bytes: int
    frames: int
    shards: int
    annotations: int
    kept_images: int
    snapshots: tuple[str, ...]
    versions: tuple[str, ...]
    """`NAME:VERSION`, of those that were trained on one of these snapshots."""


def media_of_source(session: Session, source: str, before: datetime | None) -> list[UUID]:
    """Return the media of a source that were captured before a time, and are not forgotten."""
    query = select(Media.media_id).where(Media.source == source, Media.status.not_in(_NOT_ALIVE))
    if before is not None:
        query = query.where(Media.captured_at < before)
    return list(session.scalars(query.order_by(Media.media_id)))


def media_of_contents(session: Session, sha256s: Collection[str]) -> list[UUID]:
    """Return the media of these contents that are not forgotten, whatever their source."""
    query = select(Media.media_id).where(
        _among(Media.sha256, sha256s), Media.status.not_in(_NOT_ALIVE)
    )
    return list(session.scalars(query.order_by(Media.media_id)))


def contents_of(session: Session, media_ids: Collection[UUID]) -> set[str]:
    """Return the SHA-256 of each of these media, in hexadecimal."""
    query = select(Media.sha256).where(_among(Media.media_id, media_ids), Media.sha256.is_not(None))
    return {sha256 for sha256 in session.scalars(query) if sha256}


def traces_of(session: Session, media_ids: Collection[UUID]) -> Traces:
    """Count what there is of some media."""
    media = session.execute(
        select(func.count(), func.coalesce(func.sum(Media.bytes), 0)).where(
            _among(Media.media_id, media_ids)
        )
    ).one()
    frames = session.execute(
        select(func.count(), func.count(Frame.shard_key.distinct())).where(
            _among(Frame.media_id, media_ids)
        )
    ).one()
    snapshots = _snapshots_holding(session, media_ids)
    return Traces(
        media=media[0],
        bytes=int(media[1] or 0),
        frames=frames[0],
        shards=frames[1],
        annotations=_count(
            session, select(AnnotationRow).where(_among(AnnotationRow.media_id, media_ids))
        ),
        kept_images=_count(session, _pictures_of(media_ids)),
        snapshots=tuple(snapshots),
        versions=tuple(
            f"{row.model_name}:{row.model_version}" for row in _trained(session, snapshots)
        ),
    )


def begin(session: Session, media_ids: Collection[UUID]) -> None:
    """Forget media, in one transaction: from here on nothing uses them, or brings them back.

    Their objects are noted, to be erased. Frames stay until their shards were written anew.
    """
    ids = sorted(media_ids)
    rows = session.scalars(
        select(Media).where(_among(Media.media_id, ids)).order_by(Media.media_id).with_for_update()
    ).all()
    erase = [media.object_key for media in rows if media.status is not MediaStatus.FORGOTTEN]
    pictures = session.scalars(_pictures_of(ids)).all()
    erase += [each.image_key for each in pictures if each.image_key]
    note_objects(session, erase)
    for version in _trained(session, _snapshots_holding(session, ids)):
        version.trained_on_forgotten = True
    _forget_words(session, ids)
    for picture in pictures:
        picture.image_key = None
    owed = (Outbox.published_at.is_(None), _among(Outbox.message_key, [str(each) for each in ids]))
    session.execute(delete(Outbox).where(*owed))
    session.execute(delete(MediaUploader).where(_among(MediaUploader.media_id, ids)))
    session.execute(
        update(Media)
        .where(_among(Media.media_id, ids))
        .values(
            status=MediaStatus.FORGOTTEN,
            filename=None,
            uploaded_by=None,
            reason_code=None,
            reason_detail=None,
        )
    )


def note_objects(session: Session, keys: Collection[str]) -> None:
    """Note objects that are to be erased."""
    if keys:
        rows = [{"object_key": key} for key in sorted(keys)]
        session.execute(insert(ErasedObject).on_conflict_do_nothing(), rows)


def objects_to_erase(session: Session, limit: int) -> list[str]:
    """Return some objects that are to be erased."""
    return list(session.scalars(select(ErasedObject.object_key).limit(limit)))


def erased(session: Session, keys: Collection[str]) -> None:
    """Note that objects are gone."""
    session.execute(delete(ErasedObject).where(ErasedObject.object_key.in_(keys)))


def shards_to_rewrite(session: Session, limit: int) -> list[str]:
    """Return some shards with frames of forgotten media."""
    query = (
        select(Frame.shard_key)
        .join(Media, Media.media_id == Frame.media_id)
        .where(Media.status == MediaStatus.FORGOTTEN)
        .distinct()
        .limit(limit)
    )
    return list(session.scalars(query))


def frames_of_shard(session: Session, shard_key: str) -> Sequence[tuple[Frame, bool]]:
    """Return the frames of a shard in their order, each with whether its file is forgotten."""
    query = (
        select(Frame, Media.status == MediaStatus.FORGOTTEN)
        .join(Media, Media.media_id == Frame.media_id)
        .where(Frame.shard_key == shard_key)
        .order_by(Frame.shard_offset)
        .with_for_update(of=Frame)
    )
    return [(frame, bool(is_forgotten)) for frame, is_forgotten in session.execute(query)]


def forgotten_contents(session: Session) -> set[str]:
    """Return the SHA-256 of every forgotten file."""
    query = select(Media.sha256).where(Media.status == MediaStatus.FORGOTTEN)
    return {sha256 for sha256 in session.scalars(query) if sha256}


def snapshots_with_forgotten(session: Session) -> Sequence[Snapshot]:
    """Return the snapshots that had forgotten media."""
    query = (
        select(Snapshot)
        .join(SnapshotMedia, holds_it())
        .join(Media, Media.media_id == SnapshotMedia.media_id)
        .where(Media.status == MediaStatus.FORGOTTEN)
        .ext(distinct_on(Snapshot.snapshot_id))
        .order_by(Snapshot.snapshot_id)
    )
    return session.scalars(query).all()


def add_tombstone(session: Session, sha256: str) -> None:
    """Note a forgotten content that the catalog does not know: it was restored from before it."""
    now = datetime.now(UTC)
    session.add(
        Media(
            media_id=uuid4(),
            status=MediaStatus.FORGOTTEN,
            source="",
            object_key=f"{TOMBSTONES}{sha256}",
            sha256=sha256,
            lease_expires_at=now,
            captured_at=now,
        )
    )


def learned_forgotten(session: Session, release: Release) -> bool:
    """Say whether media that a released version learned from were erased since."""
    version = session.get(TrainedVersion, (release.model_name, release.model_version))
    return version is not None and version.trained_on_forgotten


def _forget_words(session: Session, media_ids: Sequence[UUID]) -> None:
    """Delete what people said of media, and questions about them."""
    session.execute(delete(AdoptedLabel).where(_among(AdoptedLabel.media_id, media_ids)))
    session.execute(delete(LabellingItem).where(_among(LabellingItem.media_id, media_ids)))
    of_them = _among(AnnotationRow.media_id, media_ids)
    taken_back = AnnotationRow.retracts.is_not(None)
    session.execute(delete(AnnotationRow).where(of_them, taken_back))
    session.execute(delete(AnnotationRow).where(of_them))


def _among(column: InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Say of a column whether it is one of these values: a source may have a million files."""
    return column == any_(literal(list(values), ARRAY(column.type)))


def _pictures_of(media_ids: Collection[UUID]) -> Select[PredictionRow]:
    """Select the predictions whose kept image is one of these files, or became one."""
    contents = select(Media.sha256).where(_among(Media.media_id, media_ids))
    became = (
        select(AnnotationRow.prediction_id)
        .join(AdoptedLabel, AdoptedLabel.label_id == AnnotationRow.annotation_id)
        .where(_among(AdoptedLabel.media_id, media_ids))
    )
    is_theirs = or_(
        PredictionRow.image_sha256.in_(contents), PredictionRow.prediction_id.in_(became)
    )
    return select(PredictionRow).where(PredictionRow.image_key.is_not(None), is_theirs)


def _snapshots_holding(session: Session, media_ids: Collection[UUID]) -> Sequence[str]:
    """Return the ids of the snapshots that have any of these media, in order."""
    query = select(Snapshot.snapshot_id).distinct().join(SnapshotMedia, holds_it())
    query = query.where(_among(SnapshotMedia.media_id, media_ids))
    return session.scalars(query.order_by(Snapshot.snapshot_id)).all()


def _trained(session: Session, snapshots: Collection[str]) -> Sequence[TrainedVersion]:
    query = select(TrainedVersion).where(_among(TrainedVersion.snapshot_id, snapshots))
    return session.scalars(
        query.order_by(TrainedVersion.model_name, TrainedVersion.model_version)
    ).all()


def _count(session: Session, query: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0
