"""Labels that a model doubts, as questions to people."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.labelling import Subject
from visionops_assets.catalog.labels import is_about_the_frame, is_for, stands
from visionops_assets.catalog.schema import AnnotationRow, Frame, Media
from visionops_assets.contracts import MediaKind, Purpose


def doubted_subjects(
    session: Session, model_name: str, frame_ids: Sequence[UUID], frame_s: float
) -> list[Subject]:
    """Return what to ask people about, in the order of the frames whose labels are doubted.

    Of an image that is the file, of a video the `frame_s` seconds from the frame on. What somebody
    said because it was doubted before is asked no more, whatever a model makes of it.
    """
    was_answered = exists().where(
        is_about_the_frame(),
        is_for(model_name),
        AnnotationRow.origin == Purpose.CONFLICTS.value,
        stands(),
    )
    query = (
        select(Frame.frame_id, Frame.media_id, Frame.time_s, Media.kind)
        .join(Media, Media.media_id == Frame.media_id)
        .where(Frame.frame_id.in_(frame_ids), ~was_answered)
    )
    found = {row.frame_id: row for row in session.execute(query)}
    return [_subject(found[key], frame_s) for key in frame_ids if key in found]


def _subject(row: Row[*tuple[Any, ...]], frame_s: float) -> Subject:
    if row.kind is not MediaKind.VIDEO:
        return Subject(media_id=row.media_id)
    return Subject(media_id=row.media_id, start_s=row.time_s, end_s=row.time_s + frame_s)
