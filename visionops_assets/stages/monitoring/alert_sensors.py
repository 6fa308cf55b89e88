"""The sensor that starts the job that an alert calls for."""

import dagster as dg

from visionops_assets.catalog.alerts import firing_alerts
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Alert
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.stages.monitoring.health import check_health
from visionops_assets.stages.monitoring.sensors import monitor

CALLS_FOR = "calls_for"
"""The label of an alert that names a job: `monitor` or `check_health`. Other repairs, such as
bringing Triton back to the champion, need no alert: sensors make them by themselves."""


@dg.sensor(
    jobs=[monitor, check_health],
    description="Starts the job that a firing alert names in its label calls_for, once.",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
@skip_without_servers
def alert_calls(
    context: dg.SensorEvaluationContext, catalog: dg.ResourceParam[Catalog]
) -> dg.SensorResult:
    """Ask for the job that an alert names, once each time the alert fires."""
    with catalog.begin() as session:
        firing = firing_alerts(session)
    known = {monitor.name, check_health.name}
    requests = []
    for alert in firing:
        job = alert.labels.get(CALLS_FOR)
        if job in known:
            requests.append(_request(alert, str(job)))
        elif job is not None:
            context.log.warning("The alert %s calls for %r, which is not a job.", alert.name, job)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{len(firing)} alert(s) fire; none calls for a job.",
    )


def _request(alert: Alert, job: str) -> dg.RunRequest:
    # Dagster never repeats a run key: an alert that keeps firing starts one run.
    return dg.RunRequest(
        run_key=f"alert-{alert.fingerprint}-{alert.starts_at.isoformat()}",
        job_name=job,
        tags={"visionops/alert": alert.name},
    )
