"""Export to ONNX and TensorRT, and atomic release to Triton or into a canary."""

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.serving.alias import champion_alias_of
from visionops_assets.stages.serving.assets import model_release_of
from visionops_assets.stages.serving.built_engines import engine_of
from visionops_assets.stages.serving.engine_requests import build_engines_of, missing_engines_of
from visionops_assets.stages.serving.exported import exported_model_of, onnx_matches_pytorch_of


def stage(model: ModelDeclaration) -> dg.Definitions:
    """Return what this stage has of a model."""
    exported, build_engines = exported_model_of(model), build_engines_of(model)
    return dg.Definitions(
        assets=[exported, engine_of(model), model_release_of(model)],
        asset_checks=[onnx_matches_pytorch_of(exported)],
        jobs=[build_engines],
        sensors=[champion_alias_of(model), missing_engines_of(model, build_engines)],
    )
