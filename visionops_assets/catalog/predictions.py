"""Predictions on their way from the queue into the catalog.

Not here: how right they were (`performance.py`), and what becomes of their images (`feedback.py`).
"""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Label, PredictionRow, TopicPosition
from visionops_assets.contracts import Prediction


def next_offset(session: Session, topic: str, partition: int) -> int:
    """Return the offset at which taking predictions from a topic partition goes on."""
    position = session.get(TopicPosition, (topic, partition))
    return position.next_offset if position else 0


def set_next_offset(session: Session, topic: str, partition: int, offset: int) -> None:
    """Note where to go on, in the transaction that took what came before."""
    session.merge(TopicPosition(topic=topic, topic_partition=partition, next_offset=offset))


def image_key(prediction: Prediction) -> str | None:
    """Return the object key of a prediction's kept image; None without an image."""
    if prediction.image is None:
        return None
    return f"predictions/{prediction.predicted_at:%Y-%m-%d}/{prediction.prediction_id}"


def add_predictions(
    session: Session, topic: str, partition: int, predictions: Sequence[tuple[int, Prediction]]
) -> int:
    """Note predictions with their offsets; those that are known change nothing. Returns the new.

    Their images are in the object store already, under `image_key`.
    """
    if not predictions:
        return 0
    rows = [
        prediction.model_dump(exclude={"image"})
        | {
            "role": prediction.role.value,
            "image_key": image_key(prediction),
            "probabilities": list(prediction.probabilities),
            "embedding": list(prediction.embedding),
            "topic": topic,
            "topic_partition": partition,
            "topic_offset": offset,
        }
        for offset, prediction in predictions
    ]
    statement = insert(PredictionRow).on_conflict_do_nothing()
    added = session.execute(statement.returning(PredictionRow.prediction_id), rows)
    return len(added.all())


def prediction_counts(session: Session) -> list[tuple[str, int, int]]:
    """Count predictions by model name and version."""
    statement = (
        select(PredictionRow.model_name, PredictionRow.model_version, func.count())
        .group_by(PredictionRow.model_name, PredictionRow.model_version)
        .order_by(PredictionRow.model_name, PredictionRow.model_version)
    )
    return [row.tuple() for row in session.execute(statement)]


def newest_prediction_label_id(session: Session) -> int:
    """Return the id of the newest label of a prediction; 0 without one."""
    statement = select(func.max(Label.label_id)).where(Label.prediction_id.is_not(None))
    return session.execute(statement).scalar_one() or 0
