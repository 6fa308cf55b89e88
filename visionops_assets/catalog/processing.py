"""The results of processing media: frames or a reason against them, and how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased

from visionops_assets.catalog.schema import Base, Frame, Media, MediaBatch, Processing, Spec
from visionops_assets.contracts import MediaStatus, PreprocessingSpec
from visionops_assets.errors import MediaError

_RESULTS = ("status", "reason_code", "reason_detail", "frames", "milliseconds", "decoder")
_SIZE = ("width_px", "height_px")


@dataclass(frozen=True)
class FrameRecord:
    """One frame as packed into a shard."""

    frame_id: UUID
    media_id: UUID
    frame_index: int
    time_s: float
    perceptual_hash: str
    shard_key: str
    shard_offset: int
    frame_bytes: int
    content_hash: str
    quality: list[float]
    crop_hashes: bytes


@dataclass(frozen=True)
class Processed:
    """The result for one media file: a number of frames, or an error, and its cost.

    `decoder` names the libraries with their versions, `picture_px` is width and height of the
    upright picture.
    """

    media_id: UUID
    frames: int
    error: MediaError | None
    milliseconds: float
    decoder: str
    picture_px: tuple[int, int] | None = None

    @property
    def row(self) -> dict[str, object]:
        """Return the columns of `processing` that it decides."""
        status = MediaStatus.QUARANTINED if self.error else MediaStatus.PROCESSED
        return {
            "media_id": self.media_id,
            "status": status,
            "reason_code": self.error and self.error.code,
            "reason_detail": self.error and str(self.error),
            "frames": self.frames,
            "milliseconds": self.milliseconds,
            "decoder": self.decoder,
            **dict(zip(_SIZE, self.picture_px or (None, None), strict=True)),
        }


def commit_frames(
    session: Session,
    batch_key: str,
    spec: PreprocessingSpec,
    frames: Sequence[FrameRecord],
    processed: Sequence[Processed],
) -> None:
    """Commit the results of a batch: frames, the state of each media file, the batch itself.

    A batch that runs again points the same frame ids at its new shards.
    """
    own = {"spec_id": spec.spec_id, "batch_key": batch_key}
    places = ("shard_key", "shard_offset", "frame_bytes", "content_hash")
    looks = ("perceptual_hash", "quality", "crop_hashes")
    _upsert(session, Frame, ["frame_id"], [vars(frame) | own for frame in frames], places + looks)
    session.execute(
        insert(Spec)
        .values(spec_id=spec.spec_id, parameters=spec.model_dump(mode="json"))
        .on_conflict_do_nothing()
    )
    rows = [each.row | own for each in processed]
    changing = (*_RESULTS, *_SIZE, "batch_key")
    _upsert(session, Processing, ["media_id", "spec_id"], rows, changing, processed_at=func.now())
    session.execute(
        update(Media)
        .where(
            Media.media_id.in_([each.media_id for each in processed]),
            Processing.media_id == Media.media_id,
            Processing.spec_id == spec.spec_id,
            # Frames of one that was forgotten meanwhile are noted: by them its shard is found.
            Media.status != MediaStatus.FORGOTTEN,
        )
        .values(
            status=Processing.status,
            processed_at=func.now(),
            reason_code=Processing.reason_code,
            reason_detail=Processing.reason_detail,
        )
    )
    session.execute(
        update(MediaBatch).where(MediaBatch.batch_key == batch_key).values(processed_at=func.now())
    )


def processings_of(session: Session, media_id: UUID) -> Sequence[tuple[Processing, Spec | None]]:
    """Return how a media file was processed, by each spec, the oldest first."""
    query = (
        select(Processing, Spec)
        .outerjoin(Spec, Spec.spec_id == Processing.spec_id)
        .where(Processing.media_id == media_id)
        .order_by(Processing.processed_at, Processing.spec_id)
    )
    return [(processing, spec) for processing, spec in session.execute(query)]


def batches_without(
    session: Session, spec_id: str, since: datetime | None = None
) -> Mapping[str, int]:
    """Return the batches with files that other specs made frames of, and this one did not try.

    Each file counts in the newest batch that it was in; the values are their numbers. `since`
    leaves out files that were stored before.
    """
    by_this = aliased(Processing)
    newest = (
        select(Processing.media_id, Processing.batch_key)
        .ext(distinct_on(Processing.media_id))
        .where(
            Processing.status == MediaStatus.PROCESSED,
            ~exists().where(by_this.media_id == Processing.media_id, by_this.spec_id == spec_id),
        )
        .order_by(Processing.media_id, Processing.processed_at.desc())
        .subquery()
    )
    query = select(newest.c.batch_key, func.count()).join(
        Media, Media.media_id == newest.c.media_id
    )
    if since is not None:
        query = query.where(Media.stored_at >= since)
    rows = session.execute(query.group_by(newest.c.batch_key).order_by(newest.c.batch_key))
    return dict(rows.all())


def recent_frames(
    session: Session, spec_id: str, within: timedelta, most: int
) -> Sequence[tuple[str, str, list[float]]]:
    """Return source, hash and quality of a spec's frames of some time, in the order of capture.

    Where there are more than `most`, it is those that were captured last.
    """
    query = (
        select(Media.source, Frame.perceptual_hash, Frame.quality)
        .join(Media, Media.media_id == Frame.media_id)
        .where(
            Frame.spec_id == spec_id,
            Frame.created_at > func.now() - within,
            func.jsonb_array_length(Frame.quality) > 0,
        )
        .order_by(Media.captured_at.desc(), Frame.media_id, Frame.frame_index.desc())
        .limit(most)
    )
    return session.execute(query).all()[::-1]


def _upsert(
    session: Session,
    table: type[Base],
    key: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    changing: Sequence[str],
    **also: object,
) -> None:
    """Insert rows; of those that are there, change these columns."""
    if not rows:
        return
    statement = insert(table)
    new = {name: statement.excluded[name] for name in changing} | also
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=new), list(rows))
