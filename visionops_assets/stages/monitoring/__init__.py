"""Measures the served model by its answers, and decides whether to repair it."""

import dagster as dg

from visionops_assets.stages.monitoring.alert_sensors import alert_calls
from visionops_assets.stages.monitoring.decision import retrain_decision
from visionops_assets.stages.monitoring.drift import data_drift
from visionops_assets.stages.monitoring.feedback import feedback_media
from visionops_assets.stages.monitoring.health import check_health, health_schedule, serving_health
from visionops_assets.stages.monitoring.performance import model_performance
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.monitoring.sensors import monitor, new_predictions

definitions = dg.Definitions(
    assets=[
        prediction_log,
        feedback_media,
        model_performance,
        data_drift,
        retrain_decision,
        serving_health,
    ],
    jobs=[monitor, check_health],
    schedules=[health_schedule],
    sensors=[new_predictions, alert_calls],
)
