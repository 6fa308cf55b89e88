"""The annotations of a model that count now, file by file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import is_read_by, looked_at
from visionops_assets.catalog.labels import stands
from visionops_assets.catalog.schema import AnnotationRow, Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.models import ModelDeclaration


@dataclass(frozen=True, slots=True)
class CountingAnnotation:
    """An annotation that counts, and the file that it is about."""

    annotation_id: int
    media_id: UUID
    sha256: str | None
    filename: str | None
    source: str
    start_s: float | None
    end_s: float | None
    payload: dict[str, Any]
    author: str | None
    created_at: datetime


def counting_annotations(
    session: Session,
    model: ModelDeclaration,
    source: str | None = None,
    after: UUID | None = None,
    files: int = 1000,
) -> tuple[list[CountingAnnotation], UUID | None]:
    """Return what counts for a model of the next `files` files, by their ids.

    Of each part the newest counts, and none that is older than what was said of the whole file.
    The second value is the id after which to go on; None at the end.
    """
    row = AnnotationRow
    named = select(row.media_id).where(row.media_id.is_not(None))
    if after is not None:
        named = named.where(row.media_id > after)
    ids = session.scalars(named.distinct().order_by(row.media_id).limit(files)).all()
    columns = (row.annotation_id, row.media_id, Media.sha256, Media.filename, Media.source)
    said = (row.start_s, row.end_s, row.payload, row.author, row.created_at)
    query = (
        select(*columns, *said)
        .join(Media, Media.media_id == row.media_id)
        .where(row.media_id.in_(ids), stands(), is_read_by(model), looked_at(model))
        .where(row.payload.op("?")(model.payload_field), Media.status != MediaStatus.RECEIVING)
        .order_by(row.media_id, row.annotation_id)
    )
    if source is not None:
        query = query.where(Media.source == source)
    found = [CountingAnnotation(*each) for each in session.execute(query)]
    counting = [
        each
        for _, of_file in groupby(found, key=lambda given: given.media_id)
        for each in _counting(list(of_file))
    ]
    return counting, ids[-1] if len(ids) == files else None


def _counting(said: Sequence[CountingAnnotation]) -> list[CountingAnnotation]:
    """Return of the annotations of one file, oldest first, those that count."""
    newest = {(each.start_s, each.end_s): each for each in said}
    whole = newest.get((None, None))
    since = whole.annotation_id if whole else 0
    return sorted(
        (each for each in newest.values() if each.annotation_id >= since),
        key=lambda given: given.annotation_id,
    )
