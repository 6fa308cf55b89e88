"""Notes which media are in which snapshots, so that a file can be traced to all that hold it.

The manifest of a snapshot lies in the object store. Here a row holds for a run of snapshots: only
changes are written. See `schema.SnapshotMedia`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.orm import Session

from visionops_assets.catalog.locks import Lock, hold
from visionops_assets.catalog.schema import Snapshot, SnapshotMedia

_MADE = "CREATE TEMPORARY TABLE cut_frame (frame_id uuid, side text) ON COMMIT DROP"
_COPIED = "COPY cut_frame (frame_id, side) FROM STDIN"
_BY_MEDIA = """
CREATE TEMPORARY TABLE cut_media ON COMMIT DROP AS
SELECT frame.media_id, frame.spec_id, cut_frame.side,
    range_agg(int4range(frame.frame_index::int, frame.frame_index::int + 1)) AS frames
FROM cut_frame JOIN frame USING (frame_id)
GROUP BY frame.media_id, frame.spec_id, cut_frame.side
"""
_ENDED = """
UPDATE snapshot_media AS known SET to_place = :place
WHERE known.model_name = CAST(:model AS varchar) AND known.to_place IS NULL
AND NOT EXISTS (
    SELECT FROM cut_media AS cut
    WHERE (cut.media_id, cut.spec_id, cut.side) = (known.media_id, known.spec_id, known.side)
    AND cut.frames = known.frames
)
"""
_BEGUN = """
INSERT INTO snapshot_media (model_name, from_place, media_id, spec_id, side, frames)
SELECT CAST(:model AS varchar), CAST(:place AS bigint),
    cut.media_id, cut.spec_id, cut.side, cut.frames
FROM cut_media AS cut
WHERE NOT EXISTS (
    SELECT FROM snapshot_media AS known
    WHERE known.model_name = CAST(:model AS varchar) AND known.to_place IS NULL
    AND known.media_id = cut.media_id
)
"""


def unnoted_snapshots(session: Session, model_name: str) -> Sequence[Snapshot]:
    """Return the model's snapshots whose members are not noted yet, the oldest first."""
    query = select(Snapshot).where(Snapshot.model_name == model_name, Snapshot.place.is_(None))
    return session.scalars(query.order_by(Snapshot.created_at, Snapshot.snapshot_id)).all()


def note_members(
    session: Session, snapshot_id: str, members: Iterable[tuple[str, str]]
) -> int | None:
    """Note the members of a snapshot: frame ids with their sides. Return its place, once it has it.

    A snapshot that is noted already stays as it is; None if there is no such snapshot. Frames that
    are gone from the catalog are passed over. Only what differs from the snapshot before
    is written.
    """
    snapshot = session.get(Snapshot, snapshot_id)
    if snapshot is None:
        return None
    hold(session, Lock.MEMBERS, snapshot.model_name)
    session.refresh(snapshot)
    if snapshot.place is None:
        _copy(session, members)
        last = select(func.max(Snapshot.place)).where(Snapshot.model_name == snapshot.model_name)
        snapshot.place = (session.scalar(last) or 0) + 1
        at = {"model": snapshot.model_name, "place": snapshot.place}
        session.execute(text(_ENDED), at)
        session.execute(text(_BEGUN), at)
        session.execute(text("DROP TABLE cut_frame, cut_media"))
        session.flush()
    return snapshot.place


def _copy(session: Session, members: Iterable[tuple[str, str]]) -> None:
    """Bring the members into the temporary table `cut_media`, one row per file."""
    session.execute(text(_MADE))
    # psycopg's own connection, in the transaction of the session: SQLAlchemy has no COPY.
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy(_COPIED) as copy:
        for member in members:
            copy.write_row(member)
    session.execute(text("ANALYZE cut_frame"))
    session.execute(text(_BY_MEDIA))
    session.execute(text("ANALYZE cut_media"))


def holds_it() -> ColumnElement[bool]:
    """Say of rows of `snapshot_media` and of snapshots whether the one is part of the other."""
    run = SnapshotMedia
    return and_(
        run.model_name == Snapshot.model_name,
        run.from_place <= Snapshot.place,
        or_(run.to_place.is_(None), run.to_place > Snapshot.place),
    )
