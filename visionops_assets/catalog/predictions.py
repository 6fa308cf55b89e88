"""Takes predictions from the queue into the catalog.

Not here: their accuracy (`performance.py`), and the use of their images (`feedback.py`).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from visionops_assets.catalog.batches import Problem
from visionops_assets.catalog.schema import AnnotationRow, PredictionRow, Snapshot, TopicPosition
from visionops_assets.contracts import Prediction
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import load_models


def next_offset(session: Session, log: str, partition: int) -> int | None:
    """Return the offset at which taking predictions from a log goes on; None before the first."""
    position = session.get(TopicPosition, (log, partition))
    return position.next_offset if position else None


def set_next_offset(session: Session, log: str, partition: int, offset: int) -> None:
    """Note the next offset, in the transaction that took the predictions before it."""
    session.merge(TopicPosition(topic=log, topic_partition=partition, next_offset=offset))


def image_key(prediction: Prediction) -> str | None:
    """Return the object key of a prediction's kept image; None without an image.

    It ends in the SHA-256 of the image, by which its readers know it.
    """
    if prediction.image is None:
        return None
    sha256 = hashlib.sha256(prediction.image).hexdigest()
    return f"predictions/{prediction.predicted_at:%Y-%m-%d}/{prediction.prediction_id}.{sha256}"


def add_predictions(
    session: Session, log: str, partition: int, predictions: Sequence[tuple[int, Prediction]]
) -> tuple[int, dict[int, Problem]]:
    """Note predictions with their offsets; those that are known change nothing.

    Their images are in the object store already, under `image_key`.

    Returns:
        How many are new, and, by offset, why one cannot be stored.
    """
    classes = _classes_of(session, {found.snapshot_id for _, found in predictions})
    rows = _rows(log, partition, predictions, classes)
    try:
        return _insert(session, rows), {}
    except (DataError, IntegrityError):
        # One by one, so that what PostgreSQL does not take is alone.
        return _insert_each(session, rows)


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    if not rows:
        return 0
    statement = insert(PredictionRow).on_conflict_do_nothing()
    with session.begin_nested():
        added = session.execute(statement.returning(PredictionRow.prediction_id), rows)
        return len(added.all())


def _insert_each(
    session: Session, rows: Sequence[dict[str, Any]]
) -> tuple[int, dict[int, Problem]]:
    added = 0
    problems: dict[int, Problem] = {}
    for row in rows:
        try:
            added += _insert(session, [row])
        except (DataError, IntegrityError) as error:
            said = str(error.orig).partition("\n")[0]
            problems[row["topic_offset"]] = Problem("unstorable_prediction", said)
    return added, problems


def _classes_of(session: Session, snapshot_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the classes of these snapshots that the catalog has, by their ids."""
    query = select(Snapshot.snapshot_id, Snapshot.classes)
    found = session.execute(query.where(Snapshot.snapshot_id.in_(snapshot_ids)))
    return {each.snapshot_id: each.classes for each in found}


def _rows(
    log: str,
    partition: int,
    predictions: Sequence[tuple[int, Prediction]],
    classes: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    return [
        prediction.model_dump(exclude={"image"})
        | {
            "role": prediction.role.value,
            "answer": _answer(prediction, classes.get(prediction.snapshot_id, ())),
            "image_key": image_key(prediction),
            "probabilities": list(prediction.probabilities),
            "embedding": list(prediction.embedding),
            "topic": log,
            "topic_partition": partition,
            "topic_offset": offset,
        }
        for offset, prediction in predictions
    ]


def _answer(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """Return the answer in the form of its task. Anybody may write to the topic."""
    for model in load_models():
        if model.name == prediction.model_name:
            with suppress(InvalidRequestError):
                return model.answer_of(prediction.label, prediction.probabilities, classes)
    return {"label": prediction.label}


def known_predictions(session: Session, prediction_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these predictions that are in the catalog."""
    query = select(PredictionRow.prediction_id).where(
        PredictionRow.prediction_id.in_(prediction_ids)
    )
    return set(session.scalars(query))


def prediction_counts(session: Session) -> list[tuple[str, int, int]]:
    """Count predictions by model name and version."""
    statement = (
        select(PredictionRow.model_name, PredictionRow.model_version, func.count())
        .group_by(PredictionRow.model_name, PredictionRow.model_version)
        .order_by(PredictionRow.model_name, PredictionRow.model_version)
    )
    return [(name, version, count) for name, version, count in session.execute(statement)]


def newest_prediction_label_id(session: Session) -> int:
    """Return the id of the newest label of a prediction; 0 without one."""
    statement = select(func.max(AnnotationRow.annotation_id)).where(
        AnnotationRow.prediction_id.is_not(None)
    )
    return session.execute(statement).scalar_one() or 0
