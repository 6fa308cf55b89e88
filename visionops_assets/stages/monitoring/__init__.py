"""What the served model answered, and how often it was right."""

import dagster as dg

from visionops_assets.stages.monitoring.assets import model_performance, prediction_log
from visionops_assets.stages.monitoring.sensors import monitor, new_predictions

definitions = dg.Definitions(
    assets=[prediction_log, model_performance], jobs=[monitor], sensors=[new_predictions]
)
