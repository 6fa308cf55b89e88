"""Metrics of the retrain arbiter's decisions, of labelling batches, and of alerts that fire."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from visionops_assets.catalog.alerts import count_firing
from visionops_assets.catalog.schema import Decision, LabellingBatch, Release
from visionops_assets.contracts import Outcome
from visionops_assets.services.exporter.families import gauge, gauges

_WINDOW_LABELS = ["model", "version"]


def decision_metrics(session: Session) -> Iterator[Metric]:
    """Read the newest decision of each model, and count all."""
    age_s = func.extract("epoch", func.now() - Decision.decided_at)
    newest = (
        select(Decision, age_s)
        .ext(distinct_on(Decision.model_name))
        .order_by(Decision.model_name, Decision.decision_id.desc())
    )
    decisions = [(made, age) for made, age in session.execute(newest)]
    for name, key, documentation in (
        ("", "log_evidence", "Logarithm of the evidence that accuracy is below the limit."),
        ("_limit", "log_limit", "Logarithm of the evidence at which the alarm is raised."),
    ):
        samples = [
            ((made.model_name, str(made.model_version)), made.evidence.get(key))
            for made, _ in decisions
        ]
        yield gauges(f"error_evidence{name}", documentation, _WINDOW_LABELS, samples)
    ages = [((made.model_name,), float(age)) for made, age in decisions]
    yield gauges("decision_age_seconds", "Age of the newest decision.", ["model"], ages)
    counts = dict(
        session.execute(select(Decision.outcome, func.count()).group_by(Decision.outcome)).all()
    )
    outcomes = [((outcome.value,), counts.get(outcome, 0)) for outcome in Outcome]
    yield gauges("decisions", "Decisions by outcome.", ["outcome"], outcomes)
    yield _open_batches(session)
    yield gauge("alerts_firing", "Alerts that fire, as Alertmanager told.", count_firing(session))


def _open_batches(session: Session) -> Metric:
    """Say of each released model whether labels of some predictions are asked for."""
    is_open = (
        select(LabellingBatch.batch_id)
        .where(LabellingBatch.model_name == Release.model_name, LabellingBatch.closed_at.is_(None))
        .exists()
    )
    models = session.execute(select(Release.model_name, is_open).distinct())
    samples = [((name,), bool(value)) for name, value in models]
    documentation = "Whether a labelling batch waits for labels."
    return gauges("labelling_batch_open", documentation, ["model"], samples)
