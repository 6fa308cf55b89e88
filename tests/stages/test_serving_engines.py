"""Engines without TensorRT: in its place ONNX Runtime runs the very graph it would be given."""

import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
import typer
from typer.testing import CliRunner

from tests.stages.serving_exports import CANDIDATE, CARD, Workshop
from visionops_assets.contracts import Artifact, ArtifactReport, ExportedModel, ModelCard
from visionops_assets.errors import ReleaseError, UntrustedArtifactError
from visionops_assets.releasing.manifest import Files
from visionops_assets.stages.serving import build_engine as builder
from visionops_assets.stages.serving.engines import (
    PLAN_FILE,
    engine_for,
    engine_or_onnx,
    read_timings,
)
from visionops_assets.stages.serving.export import export_candidate
from visionops_assets.stages.serving.exports import read_export
from visionops_assets.vision.export import OnnxModel
from visionops_assets.vision.tensorrt_engine import BuiltEngine
from visionops_assets.vision.tensorrt_target import Target

L4 = Target("NVIDIA L4", (8, 9), "11.4.0")


class Builds:
    """An exported model and the engines built from it."""

    def __init__(self, folder: Path) -> None:
        self.workshop = Workshop(folder)
        self.timings_given: list[bytes] = []
        self._folder = folder
        store, tracking = self.workshop.store.resource, self.workshop.tracking.resource
        export_candidate(CANDIDATE, tracking, store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builder, "this_target", lambda: L4)
            patch.setattr(builder, "build_engine", self._build)
            patch.setattr(builder, "Engine", self._engine)
            self.reports: list[ArtifactReport] = builder.build_engines(store, tracking, "m", 1)

    def _build(self, graph: Path, size_px: int, timings: bytes) -> BuiltEngine:
        assert size_px == CARD.spec.size_px
        self.timings_given.append(timings)
        return BuiltEngine(graph.read_bytes(), timings + b"+")

    def _engine(self, plan: bytes, card: ModelCard) -> OnnxModel:
        path = self._folder / "plan.onnx"
        path.write_bytes(plan)
        return OnnxModel(path, card)

    @property
    def exported(self) -> ExportedModel:
        return read_export(self.workshop.store.resource, "m", 1)[0]

    @property
    def files(self) -> Files:
        return read_export(self.workshop.store.resource, "m", 1)[1]

    def to_serve(self, target: Target, exported: ExportedModel | None = None) -> str:
        store, exported = self.workshop.store.resource, exported or self.exported
        return engine_or_onnx(store, exported, self.files, target.engine_key("fp16"))[0]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("run"))


def test_each_precision_is_built_from_its_own_graph_and_compared(builds: Builds) -> None:
    fp16, int8 = builds.reports
    assert (fp16.artifact, int8.artifact) == (Artifact.TENSORRT_FP16, Artifact.TENSORRT_INT8)
    assert fp16.usable
    assert fp16.images == int8.images == 60
    assert 0 < fp16.max_probability_error < int8.max_probability_error
    # The second build was given what the first one measured.
    assert builds.timings_given == [b"", b"+"]
    assert read_timings(builds.workshop.store.resource, L4) == b"++"
    for precision, operator in (("fp16", "Cast"), ("int8", "QuantizeLinear")):
        plan = builds.workshop.store[f"exports/m/1/engines/{L4.slug}-{precision}/{PLAN_FILE}"]
        assert operator in {node.op_type for node in onnx.load_from_string(plan).graph.node}


def test_an_engine_serves_just_the_target_it_was_built_for(builds: Builds) -> None:
    assert builds.to_serve(L4) == PLAN_FILE
    others = [
        Target("NVIDIA A10", (8, 6), "11.4.0"),
        Target("NVIDIA L4", (8, 9), "11.3.0"),
    ]
    assert [builds.to_serve(other) for other in others] == ["model.onnx"] * 2


def test_an_engine_of_other_weights_is_not_served(builds: Builds) -> None:
    hashes = builds.exported.sha256_by_file | {"model.onnx": "0" * 64}
    exported_again = builds.exported.model_copy(update={"sha256_by_file": hashes})
    assert builds.to_serve(L4, exported_again) == "model.onnx"


def test_a_changed_engine_is_refused_and_not_passed_over(builds: Builds) -> None:
    store = builds.workshop.store
    key = f"exports/m/1/engines/{L4.engine_key('fp16')}/{PLAN_FILE}"
    original, store[key] = store[key], b"hostile"
    try:
        with pytest.raises(UntrustedArtifactError):
            engine_for(store.resource, builds.exported, L4.engine_key("fp16"))
    finally:
        store[key] = original


def test_an_engine_that_answers_wrongly_is_stored_but_not_served(
    builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mixed_up(plan: bytes, card: ModelCard) -> SimpleNamespace:
        engine = builds._engine(plan, card)
        return SimpleNamespace(predict=lambda images: engine.predict(images)[:, [1, 2, 0]])

    monkeypatch.setattr(builder, "this_target", lambda: L4)
    monkeypatch.setattr(builder, "build_engine", builds._build)
    monkeypatch.setattr(builder, "Engine", mixed_up)
    store, tracking = builds.workshop.store.resource, builds.workshop.tracking.resource
    assert engine_for(store, builds.exported, L4.engine_key("int8")) is not None
    (report,) = builder.build_engines(store, tracking, "m", 1, ["int8"])
    assert not report.usable
    assert report.accuracy < 0.1
    assert engine_for(store, builds.exported, L4.engine_key("int8")) is None
    assert engine_for(store, builds.exported, L4.engine_key("fp16")) is not None


def test_without_an_engine_float32_must_be_usable_itself(builds: Builds) -> None:
    nothing = builds.exported.model_copy(update={"artifacts": ()})
    with pytest.raises(ReleaseError, match="materialize exported_model again"):
        builds.to_serve(Target("NVIDIA A10", (8, 6), "11.4.0"), nothing)


def test_lost_timings_only_cost_time(builds: Builds) -> None:
    store = builds.workshop.store
    key = f"engine-timings/{L4.slug}/timing.cache"
    original, store[key] = store[key], b"half written"
    assert read_timings(store.resource, L4) == b""
    store[key] = original


def test_the_command_says_in_one_line_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(builder.main)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    result = CliRunner().invoke(app, ["--model", "m", "--version", "1"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "pip install visionops[tensorrt]" in line
