"""What calls for a look at the served model: new predictions, or new truth about old ones."""

import json
import time

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.predictions import newest_prediction_label_id, next_offset
from visionops_assets.resources.broker import Broker
from visionops_assets.settings import load_settings

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]

monitor = dg.define_asset_job(
    "monitor",
    selection=dg.AssetSelection.assets("prediction_log", "model_performance"),
    description="Takes predictions from the queue and measures the served model.",
)


@dg.sensor(
    job=monitor,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_predictions(
    context: dg.SensorEvaluationContext, broker: Broker, catalog: Catalog
) -> dg.SensorResult:
    """Asks for a measurement when predictions wait in the queue, or new labels came for them.

    At most one a `monitoring_interval_s`. The cursor holds when it last asked, and the newest
    label it asked about.
    """
    settings = load_settings()
    last = json.loads(context.cursor or '{"asked_at_s": 0, "label_id": 0}')
    if time.time() - last["asked_at_s"] < settings.monitoring_interval_s:
        return dg.SensorResult(skip_reason="The last measurement was asked for just now.")
    under_way = dg.RunsFilter(job_name=monitor.name, statuses=UNFINISHED)
    if context.instance.get_runs(under_way, limit=1):
        return dg.SensorResult(skip_reason="A measurement is under way.")
    topic = settings.kafka_predictions_topic
    with catalog.begin() as session, broker.reader() as reader:
        label_id = newest_prediction_label_id(session)
        predictions_wait = any(
            reader.poll(topic, partition, next_offset(session, topic, partition), 1, timeout_s=3)
            for partition in reader.partitions(topic)
        )
    if not predictions_wait and label_id == last["label_id"]:
        return dg.SensorResult(skip_reason="No new prediction, and no new label for one.")
    return dg.SensorResult(
        # No run key: measuring again is harmless, and one that failed must come again.
        run_requests=[dg.RunRequest()],
        cursor=json.dumps({"asked_at_s": time.time(), "label_id": label_id}),
    )
