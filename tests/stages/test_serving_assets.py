import dagster as dg
import pytest

from visionops_assets.contracts import ExportedModel
from visionops_assets.stages import serving
from visionops_assets.stages.serving.assets import onnx_matches_pytorch
from visionops_assets.stages.serving.export import MAX_PROBABILITY_ERROR


def exported(label_agreement: float, max_probability_error: float) -> ExportedModel:
    return ExportedModel(
        model_name="m",
        model_version=1,
        snapshot_id="s",
        object_prefix="exports/m/1/",
        sha256_by_file={},
        golden_images=64,
        label_agreement=label_agreement,
        max_probability_error=max_probability_error,
    )


@pytest.mark.parametrize(
    ("label_agreement", "max_probability_error", "passes"),
    [
        (1.0, 0.0, True),
        (1.0, MAX_PROBABILITY_ERROR, True),
        (63 / 64, 0.0, False),
        (1.0, 1.01 * MAX_PROBABILITY_ERROR, False),
    ],
)
def test_an_export_must_follow_pytorch(
    label_agreement: float, max_probability_error: float, passes: bool
) -> None:
    result = onnx_matches_pytorch(exported(label_agreement, max_probability_error))
    assert isinstance(result, dg.AssetCheckResult)
    assert result.passed is passes


def test_the_comparison_stops_a_release() -> None:
    (spec,) = onnx_matches_pytorch.check_specs
    assert spec.blocking
    assert onnx_matches_pytorch in (serving.definitions.asset_checks or [])
