"""The sensor that asks for a measurement of each served model: at news, or hourly."""

import json
import logging
import time
from collections.abc import Sequence
from functools import cache, partial

import dagster as dg
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import label_backlog, now
from visionops_assets.catalog.decisions import may_decide_anew, newest_decision, waits_to_retrain
from visionops_assets.catalog.predictions import (
    newest_prediction_label_id,
    next_offset,
    set_next_offset,
)
from visionops_assets.catalog.releases import champion
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.settings import load_settings
from visionops_assets.stages.attempts import WATCHING, is_under_way, was_cancelled
from visionops_assets.stages.log_reading import LogReading
from visionops_assets.stages.of_model import AssetJob, name_of, selection_of

MONITOR = "monitor"
"""The job, without its model; alerts call for it by this name."""


# One object per model: Dagster takes two equal jobs for two.
@cache
def monitor_of(model: ModelDeclaration) -> AssetJob:
    """Define the job that measures a model, and takes what waits in the queue before."""
    shared = dg.AssetSelection.assets("prediction_log", "feedback_media")
    return dg.define_asset_job(
        name_of(model, MONITOR),
        selection=shared
        | selection_of(model, "model_performance", "data_drift", "retrain_decision"),
        description=f"Takes predictions from the queue, measures {model.name} and decides whether "
        "to retrain it. Started by `new_predictions`, or by an alert.",
        tags=WATCHING,
    )


def new_predictions_of(models: Sequence[ModelDeclaration]) -> dg.SensorDefinition:
    """Define the sensor that asks for the measurements of all models: they share a queue."""

    @dg.sensor(
        jobs=[monitor_of(model) for model in models],
        description="Starts the job monitor of each model when predictions or labels are new, and "
        "once an hour while it is served.",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    @skip_without_servers
    def new_predictions(
        context: dg.SensorEvaluationContext,
        broker: dg.ResourceParam[Broker],
        catalog: dg.ResourceParam[Catalog],
    ) -> dg.SensorResult:
        """Ask for measurements when there is news, at least every `monitoring_max_interval_s`.

        News are predictions in the queue, labels of predictions, and the end of a retraining's
        wait. The sensor asks at most once per `monitoring_interval_s`. The cursor holds the time of
        the last request, and the newest label at that time.
        """
        return _ask(context, models, broker, catalog)

    return new_predictions


def _ask(
    context: dg.SensorEvaluationContext,
    models: Sequence[ModelDeclaration],
    broker: Broker,
    catalog: Catalog,
) -> dg.SensorResult:
    settings, instance = load_settings(), context.instance
    last = json.loads(context.cursor or '{"asked_at_s": 0, "label_id": 0}')
    waited_s = time.time() - last["asked_at_s"]
    if waited_s < settings.monitoring_interval_s:
        return dg.SensorResult(skip_reason="The last measurement was asked for just now.")
    jobs = {model: monitor_of(model).name for model in models}
    if any(is_under_way(instance, job) for job in jobs.values()):
        return dg.SensorResult(skip_reason="A measurement is under way.")
    is_hourly_due = waited_s >= settings.monitoring_max_interval_s
    wanted = [
        model for model, job in jobs.items() if is_hourly_due or not was_cancelled(instance, job)
    ]
    if not wanted:
        said = "The last measurement was cancelled: the next one comes within the hour."
        return dg.SensorResult(skip_reason=said)
    with catalog.begin() as session:
        label_id = newest_prediction_label_id(session)
        due = [model for model in wanted if _is_due(session, model, is_hourly_due)]
    if label_id != last["label_id"] or _predictions_wait(broker, catalog, context.log):
        due = wanted
    if not due:
        return dg.SensorResult(skip_reason="No new prediction, and no new label for one.")
    return dg.SensorResult(
        # No run key: measuring again is harmless, and one that failed must come again.
        run_requests=[dg.RunRequest(job_name=jobs[model]) for model in due],
        cursor=json.dumps({"asked_at_s": time.time(), "label_id": label_id}),
    )


def _is_due(session: Session, model: ModelDeclaration, is_hourly_due: bool) -> bool:
    """Say whether a model is to be measured though nothing is new."""
    is_hourly_due = is_hourly_due and champion(session, model.name) is not None
    return is_hourly_due or _retraining_is_due(session, model)


def _retraining_is_due(session: Session, model: ModelDeclaration) -> bool:
    decision = newest_decision(session, model.name)
    if decision is None or not waits_to_retrain(decision):
        return False
    # This counts all labelled frames: too dear to do every ten seconds.
    new_frames = label_backlog(session, model).new_frames
    return may_decide_anew(decision, new_frames, now(session))


def _predictions_wait(broker: Broker, catalog: Catalog, log: logging.Logger) -> bool:
    topic = load_settings().kafka_predictions_topic
    with broker.reader() as reader:
        log_reading = LogReading(reader, topic, log.error)
        waiting, failed = reader.of_each_partition(topic, partial(_waits, catalog, log_reading))
    for partition, error in failed.items():
        log.error(f"Partition {partition} waits: {error}")
    return any(waiting.values())


def _waits(catalog: Catalog, log_reading: LogReading, partition: int) -> bool:
    with catalog.begin() as session:
        taken = partial(next_offset, session)
        read = log_reading.read_on(session, partition, taken, 1, timeout_s=3)
        # A cut is noted once.
        set_next_offset(session, read.log, partition, read.start)
    return bool(read.events)
