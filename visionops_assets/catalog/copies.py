"""Frames with the hashes of their crops, by which near copies are found."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Frame, Media
from visionops_assets.contracts import MediaStatus

MOST_FRAMES = 16
"""Frames of a video that are looked at, evenly spread over it: each costs what an image does."""


class ComparedFrame(NamedTuple):
    """A frame, and the file it is of; `crop_hashes` is None where nobody computed them."""

    frame_id: UUID
    media_id: UUID
    shard_key: str
    crop_hashes: bytes | None
    stored_at: datetime
    source: str
    filename: str | None


def frames_to_compare(
    session: Session, spec_id: str, source: str | None
) -> Sequence[ComparedFrame]:
    """Return the frames of a spec, those of the file that was stored first in front."""
    counted = (
        select(
            Frame.frame_id,
            Frame.frame_index,
            func.count().over(partition_by=Frame.media_id).label("frames"),
        )
        .where(Frame.spec_id == spec_id)
        .subquery()
    )
    every = (counted.c.frames + (MOST_FRAMES - 1)) // MOST_FRAMES
    query = (
        select(
            Frame.frame_id,
            Frame.media_id,
            Frame.shard_key,
            Frame.crop_hashes,
            Media.stored_at,
            Media.source,
            Media.filename,
        )
        .join(counted, counted.c.frame_id == Frame.frame_id)
        .join(Media, Media.media_id == Frame.media_id)
        .where(counted.c.frame_index % every == 0)
        .order_by(Media.stored_at, Media.media_id, Frame.frame_index)
    )
    if source is not None:
        query = query.where(Media.source == source)
    return [ComparedFrame._make(row) for row in session.execute(query)]


def count_without_frames(session: Session, spec_id: str, source: str | None) -> int:
    """Count the processed files that have no frame by a spec."""
    has_one = exists().where(Frame.media_id == Media.media_id, Frame.spec_id == spec_id)
    query = (
        select(func.count())
        .select_from(Media)
        .where(Media.status == MediaStatus.PROCESSED, ~has_one)
    )
    if source is not None:
        query = query.where(Media.source == source)
    return session.scalar(query) or 0


def keep_hashes(session: Session, hashes: Mapping[UUID, bytes]) -> None:
    """Note the hashes of frames that were made before there were any."""
    rows = [{"frame_id": frame_id, "crop_hashes": each} for frame_id, each in hashes.items()]
    session.execute(update(Frame), rows)
