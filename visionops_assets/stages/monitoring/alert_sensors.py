"""The sensor that starts the job that an alert calls for."""

from collections.abc import Sequence

import dagster as dg

from visionops_assets.catalog.alerts import firing_alerts
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Alert
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.stages.monitoring.health import check_health
from visionops_assets.stages.monitoring.sensors import MONITOR, monitor_of

MODEL = "model"
"""The label of an alert about one model: its name."""
CALLS_FOR = "calls_for"
"""The label of an alert that names a job: `monitor` or `check_health`. Other repairs, such as
bringing Triton back to the champion, need no alert: sensors make them by themselves."""


def alert_calls_of(models: Sequence[ModelDeclaration]) -> dg.SensorDefinition:
    """Define the sensor that starts what alerts call for: of one model, or of all."""
    jobs_of = {
        MONITOR: {model.name: monitor_of(model).name for model in models},
        check_health.name: {"": check_health.name},
    }

    @dg.sensor(
        jobs=[*(monitor_of(model) for model in models), check_health],
        description="Starts the job that a firing alert names in its label calls_for, once: of the "
        "model that it names, or of each.",
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
        requests = []
        for alert in firing:
            called = alert.labels.get(CALLS_FOR)
            if called is None:
                continue
            if called not in jobs_of:
                said = "The alert %s calls for %r, which is not a job."
                context.log.warning(said, alert.name, called)
                continue
            named = jobs_of[called].get(alert.labels.get(MODEL, ""))
            jobs = [named] if named else jobs_of[called].values()
            requests += [_request(alert, job) for job in jobs]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else f"{len(firing)} alert(s) fire; none calls for a job.",
        )

    return alert_calls


def _request(alert: Alert, job: str) -> dg.RunRequest:
    # Dagster never repeats a run key: an alert that keeps firing starts one run.
    return dg.RunRequest(
        run_key=f"alert-{alert.fingerprint}-{alert.starts_at.isoformat()}-{job}",
        job_name=job,
        tags={"visionops/alert": alert.name},
    )
