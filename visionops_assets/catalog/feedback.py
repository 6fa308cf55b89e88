"""Turns labelled predictions into labelled media, so that the next model is trained on them.

A labelled prediction whose image was kept is adopted: its image becomes a media file, announced to
the queue like all others, and its label becomes the label of that file. Adopted labels are noted in
the same transaction, so that none is lost and none is adopted twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.labels import (
    TRAINS_ALONE,
    TRUST_IN_VOLUNTEERS,
    VOLUNTEERED,
    is_for,
    stands,
)
from visionops_assets.catalog.locks import Lock, hold
from visionops_assets.catalog.outbox import announce
from visionops_assets.catalog.schema import AdoptedLabel, AnnotationRow, Media, PredictionRow
from visionops_assets.contracts import MediaKind, MediaStatus

FEEDBACK = "feedback"
"""The source of adopted media, which also stands for their uploader and labeller."""


@dataclass(frozen=True)
class Adoptable:
    """A label of a prediction that is not adopted yet, and where the image lies."""

    label_id: int
    payload: dict[str, Any]
    author: str | None
    origin: str
    prediction_id: UUID
    model_name: str
    predicted_at: datetime
    object_key: str


@dataclass(frozen=True)
class ImageFacts:
    """The properties of a kept image; `sha256` in hexadecimal."""

    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True)
class Adopted:
    """The effect of a label. It has none if the file had the same label already."""

    label_id: int
    media_id: UUID
    is_new_media: bool
    is_new_label: bool


def labels_to_adopt(session: Session, after_label_id: int, limit: int) -> list[Adoptable]:
    """Return the oldest labels past an id that can be adopted: their predictions' images are kept.

    A label that came before its prediction is among them once the catalog has the prediction.
    """
    query = (
        select(
            AnnotationRow.annotation_id,
            AnnotationRow.payload,
            AnnotationRow.author,
            AnnotationRow.origin,
            PredictionRow.prediction_id,
            PredictionRow.model_name,
            PredictionRow.predicted_at,
            PredictionRow.image_key,
        )
        .join(PredictionRow, PredictionRow.prediction_id == AnnotationRow.prediction_id)
        .where(
            AnnotationRow.annotation_id > after_label_id,
            PredictionRow.image_key.is_not(None),
            stands(),
            ~exists().where(
                Media.sha256 == PredictionRow.image_sha256, Media.status == MediaStatus.FORGOTTEN
            ),
            ~exists().where(AdoptedLabel.label_id == AnnotationRow.annotation_id),
        )
        .order_by(AnnotationRow.annotation_id)
        .limit(limit)
    )
    return [Adoptable(*row) for row in session.execute(query)]


def adopt(
    session: Session, topic: str, images: Sequence[tuple[Adoptable, ImageFacts]]
) -> list[Adopted]:
    """Adopt labels, in the order of their ids; those adopted before change nothing.

    The outbox owes new media to `topic`.
    """
    # Two adoptions at once could wait for each other's rows for ever.
    hold(session, Lock.ADOPTIONS, FEEDBACK)
    known = _adopted(session, [adoptable.label_id for adoptable, _ in images])
    return [
        _adopt(session, topic, adoptable, facts)
        for adoptable, facts in sorted(images, key=lambda image: image[0].label_id)
        if adoptable.label_id not in known
    ]


def _adopted(session: Session, label_ids: Collection[int]) -> set[int]:
    query = select(AdoptedLabel.label_id).where(AdoptedLabel.label_id.in_(label_ids))
    return set(session.scalars(query))


def _adopt(session: Session, topic: str, adoptable: Adoptable, facts: ImageFacts) -> Adopted:
    media = _add_media(session, adoptable, facts)
    if media is not None:
        announce(session, topic, media)
        media_id = media.media_id
    else:
        media_id = _lock_known(session, facts.sha256)
    is_new_label = _is_news(session, media_id, adoptable)
    if is_new_label:
        session.add(
            AnnotationRow(
                media_id=media_id,
                # Other models that look at this source have classes of their own.
                model_name=adoptable.model_name,
                payload=adoptable.payload,
                origin=adoptable.origin if adoptable.origin in TRAINS_ALONE else FEEDBACK,
                trust=TRUST_IN_VOLUNTEERS if adoptable.origin == VOLUNTEERED else 1,
                # So that it is taken back together with the label of the prediction.
                author=adoptable.author,
            )
        )
    session.add(AdoptedLabel(label_id=adoptable.label_id, media_id=media_id))
    session.flush()
    return Adopted(adoptable.label_id, media_id, media is not None, is_new_label)


def _add_media(session: Session, adoptable: Adoptable, facts: ImageFacts) -> Media | None:
    """Add the image as a media file; None if this source has one of the same content."""
    statement = insert(Media).values(
        media_id=uuid4(),
        status=MediaStatus.STORED,
        source=FEEDBACK,
        object_key=adoptable.object_key,
        lease_expires_at=func.now(),
        captured_at=adoptable.predicted_at,
        stored_at=func.now(),
        kind=MediaKind.IMAGE,
        content_type=facts.content_type,
        sha256=facts.sha256,
        bytes=facts.bytes,
        uploaded_by=FEEDBACK,
    )
    return session.scalar(statement.on_conflict_do_nothing().returning(Media))


def _lock_known(session: Session, sha256: str) -> UUID:
    """Return the media file of this content, and keep others from changing its labels meanwhile."""
    query = (
        select(Media.media_id)
        .where(
            Media.source == FEEDBACK,
            Media.sha256 == sha256,
            Media.status != MediaStatus.RECEIVING,
        )
        .with_for_update()
    )
    return session.scalars(query).one()


def _is_news(session: Session, media_id: UUID, adoptable: Adoptable) -> bool:
    """Say whether the label is another than the file's, and no newer one was adopted before it.

    The same label of another author is news: it stays if the first one is taken back. So is one
    that counts for more: that was asked for after one that was not, or that answers a draw.
    """
    of_model = select(PredictionRow.model_name).where(
        PredictionRow.prediction_id == AnnotationRow.prediction_id
    )
    later = (
        select(AdoptedLabel.label_id)
        .join(AnnotationRow, AnnotationRow.annotation_id == AdoptedLabel.label_id)
        .where(
            AdoptedLabel.media_id == media_id,
            AdoptedLabel.label_id > adoptable.label_id,
            of_model.scalar_subquery() == adoptable.model_name,
        )
    )
    if session.scalar(later.limit(1)) is not None:
        return False
    newest = session.execute(
        select(AnnotationRow.payload, AnnotationRow.author, AnnotationRow.origin)
        .where(AnnotationRow.media_id == media_id, is_for(adoptable.model_name), stands())
        .order_by(AnnotationRow.annotation_id.desc())
        .limit(1)
    ).one_or_none()
    if newest is None or (newest.payload, newest.author) != (adoptable.payload, adoptable.author):
        return True
    return _weight(adoptable.origin) > _weight(newest.origin)


def _weight(origin: str) -> int:
    return 2 if origin not in TRAINS_ALONE else int(origin != VOLUNTEERED)
