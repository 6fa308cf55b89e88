"""Damaged shards: noted for the alarm, and made again from the raw media."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.outbox import announce
from visionops_assets.catalog.schema import DamagedShard, Frame, Media
from visionops_assets.contracts import MediaStatus

SHOWN_FOR = timedelta(days=1)
"""A damaged shard is counted this long: a store that loses bytes is to be looked at."""


def make_again(session: Session, topic: str, damaged: Mapping[str, str]) -> int:
    """Note damaged shards, each with its reason by key, and announce their media once more.

    Until they are processed again, the frames of these media are in no snapshot. Media that are on
    their way already, or in quarantine, stay as they are.

    Returns:
        How many media were announced.
    """
    # One that was written anew meanwhile, or has nothing any more, is no damage.
    used = set(session.scalars(select(Frame.shard_key).where(Frame.shard_key.in_(damaged))))
    damaged = {key: reason for key, reason in damaged.items() if key in used}
    if not damaged:
        return 0
    noted = insert(DamagedShard).on_conflict_do_nothing()
    session.execute(noted, [{"shard_key": key, "reason": damaged[key]} for key in sorted(damaged)])
    in_them = select(Frame.media_id).where(Frame.shard_key.in_(damaged))
    media = session.scalars(
        select(Media)
        .where(Media.media_id.in_(in_them), Media.status == MediaStatus.PROCESSED)
        .order_by(Media.media_id)
        .with_for_update()
    ).all()
    for file in media:
        announce_anew(session, topic, file)
    return len(media)


def announce_anew(session: Session, topic: str, media: Media) -> None:
    """Let a media file, whose row is locked, be processed again by today's code and limits.

    It is a new announcement: the event of the one before was consumed and would have no effect.
    """
    media.status = MediaStatus.STORED
    media.announcement += 1
    media.processed_at = None
    media.reason_code = None
    media.reason_detail = None
    announce(session, topic, media)


def announced_anew(session: Session) -> set[UUID]:
    """Return the media that were announced more than once, and have frames."""
    query = select(Media.media_id).where(
        Media.announcement > 1, Media.status == MediaStatus.PROCESSED
    )
    return set(session.scalars(query))


def count_damaged_shards(session: Session) -> int:
    """Count the shards found damaged lately, or whose frames are not made again yet."""
    waits = (
        select(Frame.frame_id)
        .join(Media, Media.media_id == Frame.media_id)
        .where(
            Frame.shard_key == DamagedShard.shard_key,
            Media.status.in_((MediaStatus.STORED, MediaStatus.QUEUED)),
        )
        .exists()
    )
    is_new = DamagedShard.found_at > func.now() - SHOWN_FOR
    query = select(func.count()).select_from(DamagedShard).where(or_(is_new, waits))
    return session.scalar(query) or 0
