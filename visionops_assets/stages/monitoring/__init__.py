"""Measures the served models by their answers, and decides whether to repair one."""

from collections.abc import Sequence

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.monitoring.alert_sensors import alert_calls_of
from visionops_assets.stages.monitoring.decision import retrain_decision_of
from visionops_assets.stages.monitoring.drift import data_drift_of
from visionops_assets.stages.monitoring.feedback import feedback_media
from visionops_assets.stages.monitoring.health import check_health, health_schedule, serving_health
from visionops_assets.stages.monitoring.performance import model_performance_of
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.monitoring.sensors import monitor_of, new_predictions_of


def shared(models: Sequence[ModelDeclaration]) -> dg.Definitions:
    """Return what this stage has of all models together: they share a queue, and the servers."""
    return dg.Definitions(
        assets=[prediction_log, feedback_media, serving_health],
        jobs=[check_health],
        schedules=[health_schedule],
        sensors=[new_predictions_of(models), alert_calls_of(models)],
    )


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    return dg.Definitions(
        assets=[model_performance_of(model), data_drift_of(model), retrain_decision_of(model)],
        jobs=[monitor_of(model)],
    )
