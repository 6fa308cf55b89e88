"""Finds and counts media in quarantine, and lets them be processed again."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.damage import announce_anew
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.errors import NotFoundError


def quarantined(session: Session, code: str | None = None) -> Sequence[Media]:
    """Return the media in quarantine, oldest first; with `code`, only those with this reason."""
    query = select(Media).where(Media.status == MediaStatus.QUARANTINED)
    if code is not None:
        query = query.where(Media.reason_code == code)
    return session.scalars(query.order_by(Media.processed_at, Media.media_id)).all()


def get_quarantined(session: Session, media_id: UUID, *, lock: bool = False) -> Media:
    """Return one media file in quarantine; `lock` keeps others from retrying it meanwhile.

    Raises:
        NotFoundError: there is no such file, or it is not in quarantine.
    """
    media = session.get(Media, media_id, with_for_update=lock)
    if media is None:
        raise NotFoundError(f"There is no media file {media_id}.")
    if media.status is not MediaStatus.QUARANTINED:
        raise NotFoundError(f"Media file {media_id} is not in quarantine: it is {media.status}.")
    return media


def retry(session: Session, topic: str, media_id: UUID) -> None:
    """Let a media file be processed again, with today's code and limits.

    Raises:
        NotFoundError: there is no such file, or it is not in quarantine.
    """
    announce_anew(session, topic, get_quarantined(session, media_id, lock=True))


def count_by_code(session: Session) -> dict[str, int]:
    """Count the media in quarantine by reason."""
    rows = session.execute(
        select(Media.reason_code, func.count())
        .where(Media.status == MediaStatus.QUARANTINED)
        .group_by(Media.reason_code)
    )
    return {code or "unknown": count for code, count in rows}
