"""Finds and counts media files in the catalog.

Not here: the steps of an upload (`uploads.py`).
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.labels import stands
from visionops_assets.catalog.schema import AnnotationRow, Frame, Media, MediaUploader
from visionops_assets.contracts import MediaStatus
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import NotFoundError

FIRST_ATTEMPT = 1
"""The attempt of an upload's own writer; a sweep that gives the upload up takes the next number."""


def newest_label(session: Session, media_id: UUID) -> str | None:
    """Return the label that counts: the newest one that was not taken back."""
    payload = session.scalar(
        select(AnnotationRow.payload)
        .where(AnnotationRow.media_id == media_id, AnnotationRow.start_s.is_(None), stands())
        .order_by(AnnotationRow.annotation_id.desc())
        .limit(1)
    )
    return text_of(payload)


def get_acknowledged(session: Session, media_id: UUID, reader: str | None) -> Media:
    """Return a media file that was acknowledged to a sender: to the key `reader`, None for any.

    Raises:
        NotFoundError: no file has this id, its upload is still under way, or the key never sent it.
            All sound alike, so that nobody learns of another's files.
    """
    media = session.get(Media, media_id)
    is_there = media is not None and media.status is not MediaStatus.RECEIVING
    if is_there and reader is not None:
        is_there = session.get(MediaUploader, (media_id, reader)) is not None
    if media is None or not is_there:
        raise NotFoundError(f"There is no media file {media_id}. Upload it with POST /v1/media.")
    return media


def frames_of(session: Session, media_id: UUID) -> Sequence[Frame]:
    """Return the frames of one media file, in the order of the video."""
    return session.scalars(
        select(Frame).where(Frame.media_id == media_id).order_by(Frame.frame_index, Frame.spec_id)
    ).all()


def thumbnail_of(session: Session, media_id: UUID) -> Frame | None:
    """Return the first frame of a media file by its newest spec, or None without any."""
    query = select(Frame).where(Frame.media_id == media_id, Frame.frame_index == 0)
    return session.scalar(query.order_by(Frame.created_at.desc()).limit(1))


def count_by_status(session: Session) -> dict[MediaStatus, int]:
    """Count media files by status, with 0 for a status that no file has."""
    rows = session.execute(select(Media.status, func.count()).group_by(Media.status))
    return dict.fromkeys(MediaStatus, 0) | dict(rows.all())


def count_frames(session: Session) -> int:
    """Count processed frames."""
    return session.scalar(select(func.count()).select_from(Frame)) or 0
