"""The predictions that may be asked about, and the items of a labelling batch as they are."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import case, exists, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.asked import newest_answer
from visionops_assets.catalog.labelling import batch_of
from visionops_assets.catalog.labels import answers_a_draw, stands
from visionops_assets.catalog.performance import confidence, of_release
from visionops_assets.catalog.schema import (
    AnnotationRow,
    LabellingBatch,
    LabellingItem,
    Media,
    PredictionRow,
    Release,
)
from visionops_assets.contracts import MediaKind
from visionops_assets.contracts.payloads import text_of


@dataclass(frozen=True)
class Askable:
    """A prediction without a label that answers a draw."""

    prediction_id: UUID
    has_image: bool


@dataclass(frozen=True)
class BatchItem:
    """One prediction, file or part of a video in a batch, with the label that was given since.

    Of a prediction: `answer`, and `confidence`, the model's own estimate that it is right;
    `image_key` is None if its image was not kept. Of a file: `filename`, as its sender called it,
    the part in seconds, and the `object_key` of an image.
    """

    item_id: int
    prediction_id: UUID | None = None
    answer: str | None = None
    confidence: float | None = None
    image_key: str | None = None
    media_id: UUID | None = None
    filename: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    object_key: str | None = None
    label: str | None = None


def askable_predictions(session: Session, release: Release, limit: int) -> list[Askable]:
    """Return those of a release's newest `limit` predictions to ask about, newest first.

    Those that only volunteers labelled are among them: without their errors, a draw would flatter.
    """
    newest = (
        select(
            PredictionRow.prediction_id,
            PredictionRow.predicted_at,
            PredictionRow.image_key.is_not(None).label("has_image"),
        )
        .where(*of_release(release))
        .order_by(PredictionRow.predicted_at.desc())
        .limit(limit)
        .subquery()
    )
    has_label = exists().where(
        AnnotationRow.prediction_id == newest.c.prediction_id, answers_a_draw(), stands()
    )
    query = (
        select(newest.c.prediction_id, newest.c.has_image)
        .where(~has_label)
        .order_by(newest.c.predicted_at.desc(), newest.c.prediction_id)
    )
    return [Askable(*row) for row in session.execute(query)]


def batch_items(session: Session, batch_id: int) -> list[BatchItem]:
    """Return the items of a batch, those without a label first, the least confident first.

    Raises:
        NotFoundError: there is no such batch.
    """
    batch_of(session, batch_id)
    item, sureness, said = LabellingItem, confidence(), newest_answer().label("said")
    query = (
        select(
            item.item_id,
            PredictionRow.prediction_id,
            PredictionRow.label.label("answer"),
            sureness.label("confidence"),
            PredictionRow.image_key,
            Media.media_id,
            Media.filename,
            item.start_s,
            item.end_s,
            case((Media.kind == MediaKind.IMAGE, Media.object_key)).label("object_key"),
            said,
        )
        .select_from(item)
        .join(LabellingBatch, LabellingBatch.batch_id == item.batch_id)
        .outerjoin(PredictionRow, PredictionRow.prediction_id == item.prediction_id)
        .outerjoin(Media, Media.media_id == item.media_id)
        .where(item.batch_id == batch_id)
        .order_by(said.is_not(None), sureness, item.item_id)
    )
    rows = [row._asdict() for row in session.execute(query)]
    return [BatchItem(label=text_of(row.pop("said")), **row) for row in rows]
