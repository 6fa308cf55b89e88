"""Export to ONNX and TensorRT, and atomic release to Triton or into a canary."""

import dagster as dg

from visionops_assets.stages.serving.alias import champion_alias
from visionops_assets.stages.serving.assets import model_release
from visionops_assets.stages.serving.built_engines import engine
from visionops_assets.stages.serving.engine_requests import build_engines, missing_engines
from visionops_assets.stages.serving.exported import exported_model, onnx_matches_pytorch

definitions = dg.Definitions(
    assets=[exported_model, engine, model_release],
    asset_checks=[onnx_matches_pytorch],
    jobs=[build_engines],
    sensors=[
        champion_alias,
        missing_engines,
    ],
)
