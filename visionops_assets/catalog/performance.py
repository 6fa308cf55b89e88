"""The performance of the newest release: its predictions, their labels, and its windows.

Monitoring looks at the newest release of a model: at the predictions of its version since then that
a client got. Those of a shadow, and of a canary before its promotion, do not count. Not here:
taking predictions into the catalog (`predictions.py`), and turning them into media to train on
(`feedback.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Double, cast, exists, func, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from visionops_assets.catalog.labels import VOLUNTEERED, answers_a_draw, stands
from visionops_assets.catalog.schema import (
    AnnotationRow,
    DriftWindow,
    PerformanceWindow,
    PredictionRow,
    Release,
    Snapshot,
)
from visionops_assets.contracts import Role
from visionops_assets.contracts.payloads import text_of

_Window = TypeVar("_Window", PerformanceWindow, DriftWindow)

ERROR_STREAM_LABELS = 100_000
"""Number of newest labels of one release in its error stream."""
CLIENTS_ROLES = (Role.CHAMPION.value, Role.CANARY.value)


@dataclass(frozen=True)
class Observation:
    """One prediction as monitoring sees it: the answer, and the newest label, if any.

    `confidence` is the model's own estimate that the answer is right. `quality` are the
    `QUALITY_MEASURES` of the frame, or none if the pipeline did not measure them.
    """

    prediction_id: UUID
    predicted_at: datetime
    answered: str
    confidence: float
    quality: tuple[float, ...]
    truth: str | None
    labelled_at: datetime | None
    is_of_a_class: bool = True
    """Whether the label is a class of the version. If not, it is no error of the model."""

    @property
    def is_labelled(self) -> bool:
        """Say whether it has a label that the model could have given."""
        return self.truth is not None and self.is_of_a_class


def monitored_releases(session: Session) -> Sequence[Release]:
    """Return the newest release of each model, by model name."""
    query = (
        select(Release)
        .ext(distinct_on(Release.model_name))
        .order_by(Release.model_name, Release.release_id.desc())
    )
    return session.scalars(query).all()


def newest_observations(session: Session, release: Release, limit: int) -> list[Observation]:
    """Return the newest predictions of a release, oldest first, each with its newest label.

    Labels that answer no draw are left out.
    """
    label = (
        select(AnnotationRow.payload, AnnotationRow.created_at)
        .where(AnnotationRow.prediction_id == PredictionRow.prediction_id, stands())
        .where(answers_a_draw())
        .order_by(AnnotationRow.annotation_id.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(
            PredictionRow.prediction_id,
            PredictionRow.predicted_at,
            PredictionRow.label,
            confidence(),
            PredictionRow.quality,
            label.c.payload,
            label.c.created_at,
            _is_of_classes(label.c.payload),
        )
        .select_from(PredictionRow)
        .outerjoin(label, onclause=true())
        .outerjoin(Snapshot, Snapshot.snapshot_id == PredictionRow.snapshot_id)
        .where(*of_release(release))
        .order_by(PredictionRow.predicted_at.desc(), PredictionRow.prediction_id)
        .limit(limit)
    )
    rows = session.execute(query).all()
    return [
        Observation(
            key,
            predicted_at,
            answered,
            sureness,
            tuple(quality),
            text_of(said),
            labelled_at,
            is_of_a_class,
        )
        for (
            key,
            predicted_at,
            answered,
            sureness,
            quality,
            said,
            labelled_at,
            is_of_a_class,
        ) in reversed(rows)
    ]


def labelled_answers(session: Session, release: Release) -> list[tuple[str, str]]:
    """Return the answers of a release that have a label, each with it, oldest label first.

    The newest label of a prediction counts, and gives it its place; of more than
    `ERROR_STREAM_LABELS` the newest are returned. A label that is no class of the version is left
    out: a slip of the pen, or a class that nobody taught it, is no error of the model. Labels that
    answer no draw are left out, too.
    """
    return _answers_with(session, release, release.released_at, is_volunteered=False)


def volunteered_answers(
    session: Session, release: Release, since: datetime
) -> list[tuple[str, str]]:
    """Return the answers of a release that volunteers labelled; see `labelled_answers`."""
    return _answers_with(session, release, since, is_volunteered=True)


def _answers_with(
    session: Session, release: Release, since: datetime, *, is_volunteered: bool
) -> list[tuple[str, str]]:
    def is_of_kind(row: type[AnnotationRow]) -> ColumnElement[bool]:
        return row.origin == VOLUNTEERED if is_volunteered else answers_a_draw(row)

    later = aliased(AnnotationRow)
    is_newest = ~exists().where(
        later.prediction_id == AnnotationRow.prediction_id,
        later.annotation_id > AnnotationRow.annotation_id,
        stands(later),
        is_of_kind(later),
    )
    query = (
        select(PredictionRow.label, AnnotationRow.payload)
        .select_from(AnnotationRow)
        .join(PredictionRow, PredictionRow.prediction_id == AnnotationRow.prediction_id)
        .outerjoin(Snapshot, Snapshot.snapshot_id == PredictionRow.snapshot_id)
        # No label of a release is older than the release, and this column has an index.
        .where(
            *of_release(release),
            stands(),
            is_newest,
            _is_of_classes(AnnotationRow.payload),
            is_of_kind(AnnotationRow),
            AnnotationRow.created_at >= since,
        )
        .order_by(AnnotationRow.annotation_id.desc())
        .limit(ERROR_STREAM_LABELS)
    )
    newest_first = session.execute(query).all()
    return [(answered, text_of(said)) for answered, said in reversed(newest_first)]


def embeddings_of(
    session: Session, prediction_ids: Collection[UUID], size: int
) -> npt.NDArray[np.float32]:
    """Return the embeddings of these predictions that have this size, float32 (n, size), unordered.

    Others are in no record that this release wrote, but anybody may write to the topic.
    """
    query = select(PredictionRow.embedding).where(
        PredictionRow.prediction_id.in_(prediction_ids),
        func.jsonb_array_length(PredictionRow.embedding) == size,
    )
    return np.array(session.scalars(query).all(), dtype=np.float32).reshape(-1, size)


def newest_window(session: Session, release: Release, kind: type[_Window]) -> _Window | None:
    """Return a release's newest measurement of a kind, or None before the first."""
    query = (
        select(kind)
        .where(
            kind.model_name == release.model_name,
            kind.model_version == release.model_version,
            kind.measured_at >= release.released_at,
        )
        .order_by(kind.window_id.desc())
        .limit(1)
    )
    return session.scalar(query)


def accuracy_history(session: Session, model_name: str, limit: int) -> list[PerformanceWindow]:
    """Return the newest windows of a model that had labels, of all versions, oldest first."""
    query = (
        select(PerformanceWindow)
        .where(PerformanceWindow.model_name == model_name, PerformanceWindow.accuracy.is_not(None))
        .order_by(PerformanceWindow.window_id.desc())
        .limit(limit)
    )
    return list(session.scalars(query).all()[::-1])


def of_release(release: Release) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that selects the monitored predictions of a release."""
    return (
        PredictionRow.model_name == release.model_name,
        PredictionRow.model_version == release.model_version,
        PredictionRow.predicted_at >= release.released_at,
        PredictionRow.role.in_(CLIENTS_ROLES),
    )


def _is_of_classes(
    payload: ColumnElement[dict[str, Any] | None] | InstrumentedAttribute[dict[str, Any] | None],
) -> ColumnElement[bool]:
    """Return whether all labels are classes of the prediction's snapshot, which is joined.

    Without a snapshot in the catalog they are taken for such.
    """
    # PostgreSQL says that a list contains a text, too, if the text is one of its members.
    labels = func.coalesce(payload.op("->")("labels"), payload.op("->")("label"))
    return func.coalesce(func.jsonb_contains(Snapshot.classes, labels), true())


def confidence() -> ColumnElement[float]:
    """Return how sure a model was of its answer, as a column.

    Its task said so when the prediction came. Rows of before are of classes: it is the largest
    probability there.
    """
    probability = func.jsonb_array_elements_text(PredictionRow.probabilities).column_valued()
    largest = select(func.max(cast(probability, Double))).scalar_subquery()
    return func.coalesce(cast(PredictionRow.answer["confidence"].astext, Double), largest)
