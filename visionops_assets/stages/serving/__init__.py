"""Export to ONNX and atomic release to Triton."""

import dagster as dg

from visionops_assets.stages.serving.assets import (
    exported_model,
    model_release,
    onnx_matches_pytorch,
)
from visionops_assets.stages.serving.sensors import serving_convergence

definitions = dg.Definitions(
    assets=[exported_model, model_release],
    asset_checks=[onnx_matches_pytorch],
    sensors=[serving_convergence],
)
