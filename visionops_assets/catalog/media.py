"""Media files in the catalog: the steps of an upload, labels, and what is known of one file.

Each function takes the caller's session: which of them share a transaction is decided by the
caller (design: an upload is acknowledged in the transaction that owes its event).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Frame, Label, Media
from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.errors import NotFoundError, UploadExpiredError

FIRST_ATTEMPT = 1


@dataclass(frozen=True)
class StoredContent:
    """What was measured while the bytes of one upload went to the object store."""

    kind: MediaKind
    content_type: str
    sha256: str
    bytes: int


def insert_intent(
    session: Session,
    *,
    media_id: UUID,
    object_key: str,
    source: str,
    filename: str | None,
    captured_at: datetime,
    lease_expires_at: datetime,
) -> None:
    """Note that an upload is about to write `object_key`, before it does.

    A crash at any later point leaves this row, by which the object can be found again.
    """
    session.add(
        Media(
            media_id=media_id,
            status=MediaStatus.RECEIVING,
            source=source,
            filename=filename,
            object_key=object_key,
            attempt=FIRST_ATTEMPT,
            lease_expires_at=lease_expires_at,
            captured_at=captured_at,
        )
    )


def mark_stored(
    session: Session, media_id: UUID, content: StoredContent, stored_at: datetime
) -> None:
    """Turn an intent into a stored media file.

    Raises:
        UploadExpiredError: the lease ran out and the attempt was taken over or given up.
        sqlalchemy.exc.IntegrityError: this source has stored the same bytes already.
    """
    changed = session.execute(
        update(Media)
        .where(
            Media.media_id == media_id,
            Media.attempt == FIRST_ATTEMPT,
            Media.status == MediaStatus.RECEIVING,
        )
        .values(
            status=MediaStatus.STORED,
            stored_at=stored_at,
            kind=content.kind,
            content_type=content.content_type,
            sha256=content.sha256,
            bytes=content.bytes,
        )
        .returning(Media.media_id)
    )
    if changed.first() is None:
        raise UploadExpiredError("The upload took longer than its lease. Upload the file again.")


def delete_intent(session: Session, media_id: UUID) -> None:
    """Forget an upload that was not acknowledged. Its object must be gone before."""
    session.execute(
        delete(Media).where(
            Media.media_id == media_id,
            Media.attempt == FIRST_ATTEMPT,
            Media.status == MediaStatus.RECEIVING,
        )
    )


def find_stored(session: Session, source: str, sha256: str) -> Media | None:
    """Find the media file that holds these bytes of this source, whatever became of it."""
    return session.scalar(
        select(Media).where(
            Media.source == source,
            Media.sha256 == sha256,
            Media.status != MediaStatus.RECEIVING,
        )
    )


def newest_label(session: Session, media_id: UUID) -> str | None:
    """Return the label that counts: the newest one."""
    return session.scalar(
        select(Label.label)
        .where(Label.media_id == media_id)
        .order_by(Label.label_id.desc())
        .limit(1)
    )


def add_label(session: Session, media_id: UUID, label: str, origin: str) -> None:
    """Add what someone says a media file shows."""
    session.add(Label(media_id=media_id, label=label, origin=origin))


def add_differing_label(session: Session, media_id: UUID, label: str, origin: str) -> None:
    """Add a label, unless the newest one says the same."""
    # Without the lock, two equal labels that come at once would both be added.
    session.execute(select(Media.media_id).where(Media.media_id == media_id).with_for_update())
    if newest_label(session, media_id) != label:
        add_label(session, media_id, label, origin)


def get_acknowledged(session: Session, media_id: UUID) -> Media:
    """Return a media file that was acknowledged to its sender.

    Raises:
        NotFoundError: there is none of this id, or its upload is still under way.
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
    rows = session.execute(select(Media.status, func.count()).group_by(Media.status)).tuples()
    return dict.fromkeys(MediaStatus, 0) | dict(rows.all())


def count_frames(session: Session) -> int:
    """Count processed frames."""
    return session.scalar(select(func.count()).select_from(Frame)) or 0
