"""Export to ONNX and TensorRT, atomic release to Triton, canaries and shadows."""

import dagster as dg

from visionops_assets.stages.serving.alias import champion_alias
from visionops_assets.stages.serving.assets import model_release
from visionops_assets.stages.serving.built_engines import engine
from visionops_assets.stages.serving.engine_requests import build_engines, missing_engines
from visionops_assets.stages.serving.exported import exported_model, onnx_matches_pytorch
from visionops_assets.stages.serving.sensors import (
    decided_rollback,
    rollout_rule,
    serving_convergence,
)

definitions = dg.Definitions(
    assets=[exported_model, engine, model_release],
    asset_checks=[onnx_matches_pytorch],
    jobs=[build_engines],
    sensors=[
        rollout_rule,
        decided_rollback,
        serving_convergence,
        champion_alias,
        missing_engines,
    ],
)
