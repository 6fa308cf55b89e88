from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.declared import use
from tests.defined import check_of
from tests.stages.serving_exports import CANDIDATE, CARD, NAME, Workshop
from visionops_assets.contracts import Artifact, ExportedModel
from visionops_assets.errors import ReleaseError, UntrustedArtifactError
from visionops_assets.releasing.exports import read_export, serving_report
from visionops_assets.releasing.manifest import write_folder
from visionops_assets.settings import load_settings
from visionops_assets.stages.serving.export import export_candidate

FILES = {"model.onnx", "model.int8.onnx", "model.json"}


def export_from(workshop: Workshop) -> ExportedModel:
    store, tracking = workshop.store.resource, workshop.tracking.resource
    return export_candidate(CANDIDATE, tracking, store, workshop.shelf, print).exported


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    workshop = Workshop(tmp_path_factory.mktemp("run"))
    export_from(workshop)
    return workshop


@pytest.fixture(scope="module")
def exported(workshop: Workshop) -> ExportedModel:
    return read_export(workshop.store.resource, NAME, 1)[0]


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """An export whose INT8 artifact was calibrated on black pictures alone."""
    return export_from(Workshop(tmp_path_factory.mktemp("ruined"), black_training_side=True))


def checked(exported: ExportedModel) -> dg.AssetCheckResult:
    result = check_of("onnx_matches_pytorch")(exported)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_an_export_reads_back_whole_with_a_report_of_each_artifact(workshop: Workshop) -> None:
    exported, files = read_export(workshop.store.resource, NAME, 1)
    assert files.keys() == exported.sha256_by_file.keys() == FILES
    assert exported.snapshot_id == CARD.snapshot_id
    assert {"model.onnx", "model.int8.onnx"} <= set(workshop.tracking.logged)
    reports = {report.artifact: report for report in exported.artifacts}
    assert reports.keys() == {Artifact.ONNX_FP32, Artifact.ONNX_INT8}
    fp32, int8 = reports[Artifact.ONNX_FP32], reports[Artifact.ONNX_INT8]
    assert fp32.images == int8.images == 60  # the whole holdout
    assert (fp32.label_agreement, fp32.accuracy, fp32.reference_accuracy) == (1, 1, 1)
    assert fp32.max_probability_error < 1e-4 < int8.max_probability_error
    assert int8.label_agreement == int8.accuracy > 0.9
    assert min(fp32.latency_ms, int8.latency_ms) > 0


@pytest.mark.parametrize("file", [*sorted(FILES), "export.json", "manifest.json"])
def test_a_changed_file_is_refused(workshop: Workshop, file: str) -> None:
    key = f"exports/{NAME}/1/{file}"
    original = workshop.store[key]
    workshop.store[key] = original.replace(b"m", b"n", 1)
    try:
        with pytest.raises(UntrustedArtifactError):
            read_export(workshop.store.resource, NAME, 1)
    finally:
        workshop.store[key] = original
    read_export(workshop.store.resource, NAME, 1)


def test_a_signed_export_cannot_stand_in_for_another(workshop: Workshop) -> None:
    for key in [key for key in workshop.store if key.startswith(f"exports/{NAME}/1/")]:
        workshop.store[key.replace("/1/", "/2/")] = workshop.store[key]
    with pytest.raises(UntrustedArtifactError):
        read_export(workshop.store.resource, NAME, 2)


def test_what_is_missing_or_of_an_earlier_version_is_no_export(workshop: Workshop) -> None:
    with pytest.raises(ReleaseError, match="not complete"):
        read_export(workshop.store.resource, NAME, 3)
    write_folder(workshop.store.resource, f"exports/{NAME}/4/", {"model.onnx": b"weights"})
    with pytest.raises(ReleaseError, match="materialize exported_model again"):
        read_export(workshop.store.resource, NAME, 4)


def test_a_ruined_int8_is_flagged_and_holds_only_itself_up(ruined: ExportedModel) -> None:
    report = ruined.report(Artifact.ONNX_INT8)
    assert report is not None
    assert not report.usable
    assert any("accuracy drop" in shortfall for shortfall in report.shortfalls)
    assert serving_report(ruined, "fp32").file == "model.onnx"
    with pytest.raises(ReleaseError, match="accuracy drop"):
        serving_report(ruined, "int8")
    result = checked(ruined)
    assert result.passed
    assert "onnx-int8 is not usable" in (result.description or "")


@pytest.fixture
def _serving_int8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    use(monkeypatch, tmp_path / "models", serving={"precision": "int8"})
    yield
    monkeypatch.undo()
    load_settings.cache_clear()


@pytest.mark.usefixtures("_serving_int8")
def test_a_ruined_int8_that_is_to_be_served_stops_the_release(
    exported: ExportedModel, ruined: ExportedModel
) -> None:
    assert checked(exported).passed
    assert not checked(ruined).passed


@pytest.mark.parametrize(
    ("changes", "shortfall"),
    [
        ({"max_probability_error": 0.0011}, "probability error"),
        ({"label_agreement": 59 / 60}, "label agreement"),
        ({"accuracy": 0.99}, "accuracy drop"),
    ],
)
def test_float32_must_follow_pytorch_in_everything(
    exported: ExportedModel, changes: dict[str, float], shortfall: str
) -> None:
    first, *others = exported.artifacts
    wrong = first.model_copy(update=changes)
    result = checked(exported.model_copy(update={"artifacts": (wrong, *others)}))
    assert not result.passed
    assert shortfall in (result.description or "")


def test_a_record_of_an_earlier_version_is_read_but_not_served(exported: ExportedModel) -> None:
    record = exported.model_dump(mode="json", exclude={"artifacts"})
    record |= {"golden_images": 64, "label_agreement": 1.0, "max_probability_error": 0.0}
    earlier = ExportedModel.model_validate(record)
    assert earlier.sha256_by_file == exported.sha256_by_file
    assert not checked(earlier).passed
    with pytest.raises(ReleaseError, match="materialize exported_model again"):
        serving_report(earlier, "fp32")


def test_the_comparison_stops_a_release() -> None:
    (spec,) = check_of("onnx_matches_pytorch").check_specs
    assert spec.blocking
