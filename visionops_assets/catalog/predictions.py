"""Predictions taken from the queue, the truth that came later, and how often both agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Label, PerformanceWindow, PredictionRow
from visionops_assets.contracts import Prediction


@dataclass(frozen=True)
class LabelledPrediction:
    """What a model version answered, and what its image shows by the newest label."""

    model_name: str
    model_version: int
    answered: str
    truth: str


def next_offset(session: Session, topic: str, partition: int) -> int:
    """Offset after the last prediction that was taken from a topic partition."""
    last = session.execute(
        select(func.max(PredictionRow.topic_offset)).where(
            PredictionRow.topic == topic, PredictionRow.topic_partition == partition
        )
    ).scalar_one()
    return 0 if last is None else int(last) + 1


def add_predictions(
    session: Session, topic: str, partition: int, predictions: Sequence[tuple[int, Prediction]]
) -> int:
    """Note predictions with their offsets; those that are known change nothing. Returns the new."""
    if not predictions:
        return 0
    rows = [
        prediction.model_dump()
        | {
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
    """Predictions by model name and version."""
    statement = (
        select(PredictionRow.model_name, PredictionRow.model_version, func.count())
        .group_by(PredictionRow.model_name, PredictionRow.model_version)
        .order_by(PredictionRow.model_name, PredictionRow.model_version)
    )
    return [row.tuple() for row in session.execute(statement)]


def labelled_predictions(session: Session) -> list[LabelledPrediction]:
    """Every prediction whose truth is known, with the newest label that was given to it."""
    newest = (
        select(Label.prediction_id, Label.label)
        .where(Label.prediction_id.is_not(None))
        .distinct(Label.prediction_id)
        .order_by(Label.prediction_id, Label.label_id.desc())
        .subquery()
    )
    statement = select(
        PredictionRow.model_name, PredictionRow.model_version, PredictionRow.label, newest.c.label
    ).join(newest, newest.c.prediction_id == PredictionRow.prediction_id)
    return [LabelledPrediction(*row) for row in session.execute(statement)]


def newest_prediction_label_id(session: Session) -> int:
    """Id of the newest label that was given to a prediction; 0 when there is none."""
    statement = select(func.max(Label.label_id)).where(Label.prediction_id.is_not(None))
    return session.execute(statement).scalar_one() or 0


def add_performance(session: Session, windows: Sequence[PerformanceWindow]) -> None:
    """Note how often model versions were right, as known now."""
    session.add_all(windows)


def performance_history(session: Session, most: int = 200) -> list[PerformanceWindow]:
    """Newest measurements, the oldest of them first."""
    statement = select(PerformanceWindow).order_by(PerformanceWindow.window_id.desc()).limit(most)
    return list(reversed(session.scalars(statement).all()))
