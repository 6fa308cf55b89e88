"""Media files in the catalog: what is known of one, and how many there are.

Not here: the steps of an upload (`uploads.py`).
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Frame, Label, Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import NotFoundError

FIRST_ATTEMPT = 1
"""The attempt of an upload's own writer; a sweep that gives an upload up counts on from here."""


def newest_label(session: Session, media_id: UUID) -> str | None:
    """Return the label that counts: the newest one."""
    return session.scalar(
        select(Label.label)
        .where(Label.media_id == media_id)
        .order_by(Label.label_id.desc())
        .limit(1)
    )


def get_acknowledged(session: Session, media_id: UUID) -> Media:
    """Return a media file that was acknowledged to its sender.

    Raises:
        NotFoundError: no file has this id, or its upload is still under way.
    """
    media = session.get(Media, media_id)
    if media is None or media.status is MediaStatus.RECEIVING:
        raise NotFoundError(f"There is no media file {media_id}. Upload it with POST /v1/media.")
    return media


def frames_of(session: Session, media_id: UUID) -> Sequence[Frame]:
    """Return the frames of one media file, in the order of the video."""
    return session.scalars(
        select(Frame).where(Frame.media_id == media_id).order_by(Frame.frame_index, Frame.spec_id)
    ).all()


def count_by_status(session: Session) -> dict[MediaStatus, int]:
    """Count media files by status; every status is there."""
    rows = session.execute(select(Media.status, func.count()).group_by(Media.status))
    return dict.fromkeys(MediaStatus, 0) | dict(rows.all())


def count_frames(session: Session) -> int:
    """Count processed frames."""
    return session.scalar(select(func.count()).select_from(Frame)) or 0
