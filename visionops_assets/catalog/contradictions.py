"""Reads labels that contradict each other about one content, and settles them.

Equal content is one file, or several of equal bytes under different sources.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, any_, cast, func, literal, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import is_read_by, looked_at
from visionops_assets.catalog.labelling import Subject, open_batch
from visionops_assets.catalog.labels import is_about_the_frame, stands
from visionops_assets.catalog.schema import AnnotationRow, Frame, LabellingBatch, Media
from visionops_assets.contracts import MediaStatus, Purpose
from visionops_assets.contracts.payloads import text_of
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.contradictions import Content, Settled, Word, settle


@dataclass(frozen=True)
class Contradiction:
    """Frames of one content whose labels contradict each other in the same way.

    `sha256` is that of the file, in hexadecimal; `counts` is the word that counts.
    """

    sha256: str
    frames: int
    counts: Word
    others: tuple[Word, ...]


def contradictions(
    session: Session, model: ModelDeclaration, watermark: datetime
) -> list[Contradiction]:
    """Return the contradictions in what a model would learn at a watermark, by content."""
    frames: dict[tuple[str, Settled], int] = defaultdict(int)
    for (sha256, _), settled in _settled(session, model, watermark).items():
        if settled.others:
            frames[sha256, settled] += 1
    return [
        Contradiction(sha256, count, settled.counts, settled.others)
        for (sha256, settled), count in sorted(
            frames.items(), key=lambda each: (each[0][0], each[0][1].counts.rank)
        )
    ]


def settle_frames(
    session: Session,
    model: ModelDeclaration,
    watermark: datetime,
    frames: Sequence[dict[str, Any]],
) -> list[Settled]:
    """Give labelled frames of equal content the one label that counts; return what was contested.

    `frames` are rows of `labelled_frames` at the same watermark. Each gets `contradicted_by`:
    the other labels of its content, empty where all agree.
    """
    settled = _settled(session, model, watermark)
    for row in frames:
        found = settled.get((row["sha256"], row["frame_index"]))
        row["contradicted_by"] = ""
        if found:
            row["label"] = found.counts.label
            row["origin"] = found.counts.origin
            row["labelled_at"] = found.counts.created_at
            row["contradicted_by"] = "; ".join(map(str, found.others))
    return sorted(
        {each for each in settled.values() if each.others}, key=lambda one: one.counts.rank
    )


def ask_about(
    session: Session, model: ModelDeclaration, contested: Sequence[Settled]
) -> LabellingBatch | None:
    """Open a labelling batch that asks about contradictions; None if all are asked about already.

    It asks about as many as `labelling.batch_size`, and the others when it is called again.
    """
    said = {word.annotation_id for each in contested for word in (each.counts, *each.others[:1])}
    row = AnnotationRow
    is_word = row.annotation_id == any_(literal(sorted(said), ARRAY(BigInteger)))
    query = select(row.annotation_id, row.start_s, row.end_s).where(is_word)
    parts = {
        key: (start_s, end_s)
        for key, start_s, end_s in session.execute(query)
        if start_s is not None and end_s is not None
    }
    subjects = dict.fromkeys(_subject(each, parts) for each in contested)
    return open_batch(
        session,
        model.name,
        Purpose.CONFLICTS,
        media=list(subjects),
        batch_size=model.labelling.batch_size,
    )


def _subject(each: Settled, parts: Mapping[int, tuple[float, float]]) -> Subject:
    """Return the part that both words are about. Of files of equal bytes one is asked about."""
    words = (each.counts, each.others[0])
    spans = [parts[word.annotation_id] for word in words if word.annotation_id in parts]
    start_s = max((start for start, _ in spans), default=None)
    end_s = min((end for _, end in spans), default=None)
    media_id = min(word.media_id for word in (each.counts, *each.others))
    return Subject(media_id=media_id, start_s=start_s, end_s=end_s)


def _settled(
    session: Session, model: ModelDeclaration, watermark: datetime
) -> dict[Content, Settled]:
    """Settle the contents with several labels; all others need nothing."""
    row = AnnotationRow
    said_at_the_time = (
        row.created_at <= watermark,
        is_read_by(model),
        stands(at=watermark),
        Media.status == MediaStatus.PROCESSED,
        looked_at(model),
    )
    payload = cast(row.payload, Text)
    contested = (
        select(Media.sha256)
        .join(row, row.media_id == Media.media_id)
        .where(*said_at_the_time)
        .group_by(Media.sha256)
        .having(func.min(payload) != func.max(payload))
    )
    query = (
        select(Media.sha256, Frame.frame_index, row.annotation_id, row.media_id, row.payload)
        .add_columns(row.author, row.origin, row.trust, row.created_at)
        .select_from(Frame)
        .join(Media, Media.media_id == Frame.media_id)
        .join(row, is_about_the_frame())
        .where(
            *said_at_the_time,
            Media.sha256.in_(contested),
            Frame.spec_id == model.frames.spec_id,
            Frame.created_at <= watermark,
        )
    )
    words: dict[Content, list[Word]] = defaultdict(list)
    for sha256, frame_index, key, media_id, said, *rest in session.execute(query):
        words[sha256, frame_index].append(Word(key, media_id, text_of(said), *rest))
    return settle(words, model.task)
