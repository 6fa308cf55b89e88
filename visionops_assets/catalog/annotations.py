"""Annotations as the APIs give them: said once, however often; taken back; and read.

Payloads are in the form of a task, and nobody here parses them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.asked import origins_of_media
from visionops_assets.catalog.datasets import find_snapshot, newest_snapshot
from visionops_assets.catalog.feedback import FEEDBACK
from visionops_assets.catalog.labels import (
    PLACE,
    REVOKED,
    TRAINS_ALONE,
    VOLUNTEERED,
    is_for,
    note_if_early,
    stands,
)
from visionops_assets.catalog.locks import Lock, hold
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import AdoptedLabel, AnnotationRow, Media, PredictionRow

ANNOTATED = "annotation"
"""The origin of what was said of a file after its upload."""


@dataclass(frozen=True)
class Place:
    """The subject of an annotation: a file or a prediction, for a model.

    `start_s` to `end_s` (exclusive) are the part of a video; both None for the whole file.
    """

    model_name: str
    media_id: UUID | None = None
    prediction_id: UUID | None = None
    start_s: float | None = None
    end_s: float | None = None


def annotate(
    session: Session,
    place: Place,
    payload: dict[str, Any],
    author: str,
    of_prediction: str = VOLUNTEERED,
) -> AnnotationRow:
    """Add an annotation, or return the one that says the same if nothing newer was said since.

    The prediction may still be on its way to the catalog; `of_prediction` is the origin of what is
    said of it. What is said of a file that was chosen for its label has that purpose for origin.

    Raises:
        QuotaExceededError: too many predictions that this key annotated have not come.
    """
    _lock(session, place)
    overlapping = [_is_of(place), _overlaps(place), is_for(place.model_name), stands()]
    newest = session.scalar(
        select(AnnotationRow)
        .where(*overlapping)
        .order_by(AnnotationRow.annotation_id.desc())
        .limit(1)
    )
    origin = of_prediction
    if place.media_id is not None:
        chosen = origins_of_media(session, place.model_name, [place.media_id], author)
        origin = chosen.get(place.media_id, ANNOTATED)
    is_known = newest is not None and _says(newest, place, payload, author)
    if newest is not None and is_known and _count_alike(newest.origin, origin):
        return newest
    row = AnnotationRow(**asdict(place), payload=payload, origin=origin, author=author)
    session.add(row)
    session.flush()
    if place.prediction_id is not None:
        note_if_early(session, row.annotation_id, place.prediction_id, author)
    return row


def take_back(session: Session, place: Place, author: str) -> int:
    """Take back what was said of just this place, by anybody; return the number of annotations.

    One that names no model is taken back for all models. If media were made of a prediction, what
    was said of it is taken back of them, too.
    """
    _lock(session, place)
    rows = session.scalars(
        select(AnnotationRow).where(
            _is_of(place),
            AnnotationRow.start_s.is_not_distinct_from(place.start_s),
            AnnotationRow.end_s.is_not_distinct_from(place.end_s),
            is_for(place.model_name),
            stands(),
        )
    ).all()
    # The same word, said twice, was adopted once: each copy is taken back once.
    copies = {copy.annotation_id: copy for row in rows for copy in _adopted(session, row)}
    for row in (*rows, *copies.values()):
        same = {name: getattr(row, name) for name in PLACE}
        taking_back = AnnotationRow(
            **same, origin=REVOKED, author=author, retracts=row.annotation_id
        )
        session.add(taking_back)
    session.flush()
    return len(rows)


def annotations_of(
    session: Session, *, media_id: UUID | None = None, prediction_id: UUID | None = None
) -> Sequence[AnnotationRow]:
    """Return what was said of a file or of a prediction and not taken back, newest first."""
    return session.scalars(
        select(AnnotationRow)
        .where(_is_of(Place("", media_id, prediction_id)), stands())
        .order_by(AnnotationRow.annotation_id.desc())
    ).all()


def model_of(session: Session, prediction_id: UUID) -> str | None:
    """Return the name of the model that made a prediction; None if it has not come."""
    return session.scalar(
        select(PredictionRow.model_name).where(PredictionRow.prediction_id == prediction_id)
    )


def known_classes(session: Session, model_name: str) -> set[str]:
    """Return the classes of a model: those of its champion, and of its newest snapshot."""
    serving = champion(session, model_name)
    snapshots = (
        find_snapshot(session, serving.snapshot_id) if serving else None,
        newest_snapshot(session, model_name),
    )
    return {name for snapshot in snapshots if snapshot for name in snapshot.classes}


def _lock(session: Session, place: Place) -> None:
    """Let no other transaction say something of the same at the same time."""
    if place.prediction_id is not None:
        hold(session, Lock.ANNOTATIONS, str(place.prediction_id))
        return
    # As in `upload_labels`: uploads of the same file wait, those that only name it do not.
    of_file = select(Media.media_id).where(Media.media_id == place.media_id)
    session.execute(of_file.with_for_update(key_share=True))


def _is_of(place: Place) -> ColumnElement[bool]:
    if place.prediction_id is not None:
        return AnnotationRow.prediction_id == place.prediction_id
    return AnnotationRow.media_id == place.media_id


def _overlaps(place: Place) -> ColumnElement[bool]:
    row = AnnotationRow
    if place.start_s is None:
        return row.annotation_id.is_not(None)
    return or_(row.start_s.is_(None), and_(row.start_s < place.end_s, row.end_s > place.start_s))


def _says(row: AnnotationRow, place: Place, payload: dict[str, Any], author: str) -> bool:
    is_same = (row.payload, row.author) == (payload, author)
    is_there = (row.start_s, row.end_s) == (place.start_s, place.end_s)
    # Predictions are of one model, whether that is named or not.
    is_its = place.prediction_id is not None or row.model_name == place.model_name
    return is_same and is_there and is_its


def _count_alike(one: str, other: str) -> bool:
    return one == other or TRAINS_ALONE.isdisjoint((one, other))


def _adopted(session: Session, row: AnnotationRow) -> Sequence[AnnotationRow]:
    """Return what was said of media because it was said of their prediction, and stands."""
    media = select(AdoptedLabel.media_id).where(AdoptedLabel.label_id == row.annotation_id)
    return session.scalars(
        select(AnnotationRow).where(
            AnnotationRow.media_id.in_(media),
            AnnotationRow.payload == row.payload,
            AnnotationRow.author.is_not_distinct_from(row.author),
            AnnotationRow.origin.in_((FEEDBACK, *TRAINS_ALONE)),
            stands(),
        )
    ).all()
