"""The annotations of a model that count now, file by file."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import is_read_by, looked_at
from visionops_assets.catalog.labels import stands
from visionops_assets.catalog.schema import AnnotationRow, Media, Processing
from visionops_assets.contracts import MediaStatus
from visionops_assets.contracts.payloads import text_of
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.contradictions import WHOLE, Word, counting


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
    picture_px: tuple[int, int] | None = None
    """Width and height of the upright picture, where it was processed."""


def counting_annotations(
    session: Session,
    model: ModelDeclaration,
    source: str | None = None,
    after: UUID | None = None,
    files: int = 1000,
) -> tuple[list[CountingAnnotation], UUID | None]:
    """Return what counts for a model of the next `files` files, by their ids.

    It is what a snapshot would settle on: the words about all files of equal content are weighed
    together. Those about one file come in the order in which they count, the last over the others.
    The second value is the id after which to go on; None at the end.
    """
    row = AnnotationRow
    named = select(row.media_id).where(row.media_id.is_not(None))
    if after is not None:
        named = named.where(row.media_id > after)
    ids = session.scalars(named.distinct().order_by(row.media_id).limit(files)).all()
    stored = (Media.status != MediaStatus.RECEIVING, looked_at(model))
    columns = (Media.media_id, Media.sha256, Media.filename, Media.source)
    page = select(*columns).where(Media.media_id.in_(ids), *stored).order_by(Media.media_id)
    if source is not None:
        page = page.where(Media.source == source)
    listed = session.execute(page).all()
    sizes = _sizes(session, [file.media_id for file in listed])
    said = _said(session, model, listed, stored)
    counts = {content: _counting(words, model.task) for content, words in said.items()}
    spoken_of = {word.media_id for words in said.values() for word in words}
    found = [
        CountingAnnotation(
            *(given.annotation_id, file.media_id, file.sha256, file.filename, file.source),
            *(given.start_s, given.end_s, given.payload, given.author, given.created_at),
            sizes.get(file.media_id),
        )
        for file in listed
        if file.media_id in spoken_of
        for given in counts[_content(file.media_id, file.sha256)]
    ]
    return found, ids[-1] if len(ids) == files else None


def _sizes(session: Session, ids: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    """Return width and height of files that were processed since these are noted."""
    row = Processing
    query = select(row.media_id, row.width_px, row.height_px).where(row.media_id.in_(ids))
    return {
        media_id: (width_px, height_px)
        for media_id, width_px, height_px in session.execute(query)
        if width_px and height_px
    }


def _content(media_id: UUID, sha256: str | None) -> str:
    """Return a text that files of equal content share. One without a hash has a text of its own."""
    return sha256 or str(media_id)


def _said(
    session: Session,
    model: ModelDeclaration,
    files: Sequence[Row[UUID, str | None, str | None, str]],
    stored: Sequence[ColumnElement[bool]],
) -> dict[str, list[Row[Any]]]:
    """Return what stands for a model about files and their copies, by content."""
    row = AnnotationRow
    hashes = [file.sha256 for file in files if file.sha256]
    of_content = select(Media.media_id, Media.sha256).where(Media.sha256.in_(hashes), *stored)
    content_of = {file.media_id: _content(file.media_id, file.sha256) for file in files}
    content_of |= {each: _content(each, sha256) for each, sha256 in session.execute(of_content)}
    columns = (row.annotation_id, row.media_id, row.start_s, row.end_s, row.payload, row.author)
    query = (
        select(*columns, row.origin, row.trust, row.created_at)
        .where(row.media_id.in_(content_of), stands(), is_read_by(model))
        .where(row.payload.op("?")(model.payload_field))
    )
    said: dict[str, list[Row[Any]]] = defaultdict(list)
    for given in session.execute(query):
        said[content_of[given.media_id]].append(given)
    return said


def _counting(said: Sequence[Row[Any]], task: str) -> list[Row[Any]]:
    """Return of what is said of one content those that count, the last over the others."""
    by_id = {each.annotation_id: each for each in said}
    words = {
        Word(
            *(each.annotation_id, each.media_id, text_of(each.payload), each.author, each.origin),
            *(each.trust, each.created_at),
        ): WHOLE if each.start_s is None else (each.start_s, each.end_s)
        for each in said
    }
    return [by_id[word.annotation_id] for word in counting(words, task)]
