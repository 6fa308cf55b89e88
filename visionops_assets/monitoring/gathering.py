"""Reads the arbiter's facts from the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy.orm import Session

from visionops_assets.catalog.datasets import label_backlog
from visionops_assets.catalog.decisions import count_retrain_decisions, newest_retraining
from visionops_assets.catalog.forgetting import learned_forgotten
from visionops_assets.catalog.labelling import BatchProgress, batches
from visionops_assets.catalog.labelling_items import Askable, askable_predictions
from visionops_assets.catalog.limits import accuracy_limit
from visionops_assets.catalog.performance import newest_window
from visionops_assets.catalog.releases import Action, event_of, newest_release
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import DriftWindow, PerformanceWindow, Release
from visionops_assets.contracts import Purpose
from visionops_assets.models import ModelDeclaration
from visionops_assets.monitoring.errors import count_reports, error_stream
from visionops_assets.monitoring.facts import (
    Earlier,
    Estimate,
    Facts,
    Retraining,
    Stream,
    Window,
)
from visionops_assets.vision.monitoring.sequential import DetectorResult, ErrorDetector


@dataclass(frozen=True)
class Gathered:
    """The facts, the parts too long for a decision's evidence, and the accuracy limit."""

    facts: Facts
    errors: npt.NDArray[np.bool_]
    detected: DetectorResult
    askable: Sequence[Askable]
    min_accuracy: float


def gather(session: Session, release: Release, model: ModelDeclaration) -> Gathered:
    """Read everything about the newest release of a model.

    The error streams are replayed as a whole: a state carried along would miss labels that come
    before their prediction.
    """
    min_accuracy = accuracy_limit(
        session, release.model_name, release.model_version, model.monitoring.min_accuracy
    )
    detector = ErrorDetector(min_accuracy, model.monitoring.average_run_length)
    errors = error_stream(session, release, model.task)
    detected = detector.run(errors)
    askable = askable_predictions(session, release, model.monitoring.window_predictions)
    event = event_of(session, release)
    asked = batches(session, model_name=release.model_name, purpose=Purpose.AUDIT)
    still_asked = [batch for batch in asked if batch.closed_at is None]
    since = max([release.released_at, *(batch.opened_at for batch in asked[:1])])
    facts = Facts(
        model_version=release.model_version,
        stream=stream_of(errors, detected),
        is_rollback=event is not None and event.action == Action.ROLLED_BACK,
        earlier=_earlier(session, release, model),
        window=window_of(
            newest_window(session, release, PerformanceWindow),
            newest_window(session, release, DriftWindow),
        ),
        retraining=_retraining(session, release, model),
        open_batch=_describe(still_asked[0]) if still_asked else None,
        askable=len(askable),
        askable_images=sum(found.has_image for found in askable),
        reports=count_reports(session, release, model.task, since),
        learned_forgotten=learned_forgotten(session, release),
    )
    return Gathered(facts, errors, detected, askable, min_accuracy)


def window_of(performance: PerformanceWindow | None, drift: DriftWindow | None) -> Window:
    """Take the results of a release's newest measurements."""
    rows: list[dict[str, Any]] = drift.results if drift else []
    embedding = next((row for row in rows if row["kind"] == "embedding"), None)
    embedding_p = None if embedding is None else float(embedding["p_adjusted"])
    if performance is None:
        return Window(embedding_p=embedding_p)
    return Window(
        labelled=performance.labelled,
        accuracy=_estimate(
            performance.accuracy, performance.accuracy_low, performance.accuracy_high
        ),
        estimated_accuracy=_estimate(
            performance.estimated_accuracy, performance.estimated_low, performance.estimated_high
        ),
        embedding_p=embedding_p,
    )


def _estimate(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    if value is None or low is None or high is None:
        return None
    return Estimate(value, low, high)


def stream_of(errors: npt.NDArray[np.bool_], detected: DetectorResult) -> Stream:
    """Sum up an error stream, bool (n,), and the detector's findings."""
    return Stream(
        labels=len(errors),
        errors=int(errors.sum()),
        log_evidence=float(detected.log_evidence[-1]) if len(errors) else None,
        log_limit=detected.log_threshold,
        alarm_at=detected.alarm_at,
    )


def _earlier(session: Session, release: Release, model: ModelDeclaration) -> Earlier | None:
    """Replay the error stream of the version before, with its own limit."""
    if release.previous_version is None:
        return None
    before = newest_release(session, release.model_name, release.previous_version)
    if before is None:
        return None
    limit = accuracy_limit(
        session, before.model_name, before.model_version, model.monitoring.min_accuracy
    )
    detector = ErrorDetector(limit, model.monitoring.average_run_length)
    errors = error_stream(session, before, model.task)
    return Earlier(before.model_version, stream_of(errors, detector.run(errors)))


def _retraining(session: Session, release: Release, model: ModelDeclaration) -> Retraining:
    newest = newest_retraining(session, release.model_name, model.retraining.max_s)
    rollout = active_rollout(session, release.model_name)
    in_flight = newest is not None and newest.came_to is None
    gives_up_in_s = None
    if newest is not None and in_flight:
        left_s = model.retraining.max_s - newest.age_s
        gives_up_in_s = left_s if left_s > 0 else None
    return Retraining(
        new_frames=label_backlog(session, model).new_frames,
        last_age_s=newest.age_s if newest else None,
        in_flight=f"a retraining is under way: {newest.stage}" if newest and in_flight else None,
        gives_up_in_s=gives_up_in_s,
        failures=count_retrain_decisions(session, release) - in_flight,
        rollout=f"{rollout.role.value} of version {rollout.model_version}" if rollout else None,
    )


def _describe(batch: BatchProgress) -> str:
    return f"batch {batch.batch_id} has {batch.labelled} of {batch.items}"
