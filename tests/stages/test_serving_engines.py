"""Engines without TensorRT: in its place ONNX Runtime runs the very graph it would be given."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
import typer
from typer.testing import CliRunner

from tests.stages.serving_exports import CANDIDATE, CARD, NAME, Workshop
from visionops_assets.contracts import Artifact, ModelCard
from visionops_assets.errors import ReleaseError, UntrustedArtifactError
from visionops_assets.releasing.engines import (
    PLAN_FILE,
    RECORDS,
    Engine,
    EngineRecord,
    engine_prefix,
)
from visionops_assets.releasing.exports import read_export
from visionops_assets.stages.serving import build_engine as builder
from visionops_assets.stages.serving.engine_job import UNUSABLE_EXIT_CODE
from visionops_assets.stages.serving.engine_timings import read_timings
from visionops_assets.stages.serving.export import export_candidate
from visionops_assets.tasks.running import open_onnx
from visionops_assets.vision.export import OnnxModel
from visionops_assets.vision.inference import Floats
from visionops_assets.vision.preprocessing import Frame
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
        shelf = self.workshop.shelf
        export_candidate(CANDIDATE, tracking, store, shelf, print)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builder, "this_target", lambda: L4)
            patch.setattr(builder, "build_engine", self._build)
            patch.setattr(builder, "Engine", self._engine)
            built: list[EngineRecord] = builder.build_engines(store, tracking, NAME, 1, shelf)
            self.records = built

    def _build(self, graph: Path, size_px: int, timings: bytes) -> BuiltEngine:
        assert size_px == CARD.spec.size_px
        self.timings_given.append(timings)
        return BuiltEngine(graph.read_bytes(), timings + b"+")

    def _engine(self, plan: bytes, card: ModelCard, _outputs: object) -> OnnxModel:
        path = self._folder / "plan.onnx"
        path.write_bytes(plan)
        return open_onnx(path, card)

    def engine(self, record: EngineRecord) -> Engine:
        store = self.workshop.store.resource
        return Engine(store, NAME, 1, record.key, record.plan_sha256)

    @property
    def onnx_model(self) -> bytes:
        return read_export(self.workshop.store.resource, NAME, 1)[1]["model.onnx"]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("run"))


def test_each_precision_is_built_from_its_own_graph_and_compared(builds: Builds) -> None:
    fp16, int8 = (record.report for record in builds.records)
    assert (fp16.artifact, int8.artifact) == (Artifact.TENSORRT_FP16, Artifact.TENSORRT_INT8)
    assert fp16.usable
    assert fp16.images == int8.images == 60
    assert 0 < fp16.max_probability_error < int8.max_probability_error
    # The second build was given what the first one measured.
    assert builds.timings_given == [b"", b"+"]
    assert read_timings(builds.workshop.store.resource, L4) == b"++"
    for precision, operator in (("fp16", "Cast"), ("int8", "QuantizeLinear")):
        prefix = engine_prefix(NAME, 1, f"{L4.slug}-{precision}")
        plan = builds.workshop.store[prefix + PLAN_FILE]
        assert operator in {node.op_type for node in onnx.load_from_string(plan).graph.node}


def test_an_engine_takes_the_place_of_the_onnx_file_that_it_was_built_from(builds: Builds) -> None:
    fp16, int8 = builds.records
    assert (fp16.key, int8.key) == (f"{L4.slug}-fp16", f"{L4.slug}-int8")
    plan = builds.engine(fp16).plan_for(builds.onnx_model)
    assert plan == builds.workshop.store[engine_prefix(NAME, 1, fp16.key) + PLAN_FILE]
    with pytest.raises(ReleaseError, match="other weights"):
        builds.engine(fp16).plan_for(b"other weights")


def test_an_engine_is_named_by_its_content(builds: Builds) -> None:
    fp16, int8 = (builds.engine(record).step_of("m-1-infer") for record in builds.records)
    assert fp16 != int8
    assert fp16 == f"m-1-engine_{builds.records[0].plan_sha256[:8]}"


def test_a_changed_engine_is_refused_and_not_passed_over(builds: Builds) -> None:
    store, record = builds.workshop.store, builds.records[0]
    key = engine_prefix(NAME, 1, record.key) + PLAN_FILE
    original, store[key] = store[key], b"hostile"
    try:
        with pytest.raises(UntrustedArtifactError):
            builds.engine(record).plan_for(builds.onnx_model)
    finally:
        store[key] = original
    another = Engine(store.resource, NAME, 1, record.key, builds.records[1].plan_sha256)
    with pytest.raises(UntrustedArtifactError, match="not the engine that was noted"):
        another.plan_for(builds.onnx_model)


def test_an_engine_that_answers_wrongly_is_stored_but_not_served(
    builds: Builds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def mixed_up(plan: bytes, card: ModelCard, outputs: object) -> SimpleNamespace:
        engine = builds._engine(plan, card, outputs)

        def predict(images: Frame) -> dict[str, Floats]:
            return {"probabilities": engine.predict(images)["probabilities"][:, [1, 2, 0]]}

        return SimpleNamespace(predict=predict)

    monkeypatch.setattr(builder, "this_target", lambda: L4)
    monkeypatch.setattr(builder, "build_engine", builds._build)
    monkeypatch.setattr(builder, "Engine", mixed_up)
    monkeypatch.setattr(builder, "ObjectStore", lambda: builds.workshop.store.resource)
    monkeypatch.setattr(builder, "Tracking", lambda: builds.workshop.tracking.resource)
    monkeypatch.setattr(builder, "FramePlaces", lambda _: builds.workshop.shelf)
    app, records = typer.Typer(), tmp_path / "records"
    app.command()(builder.main)
    words = ["--model", NAME, "--version", "1", "--precision", "int8", "--records", str(records)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == UNUSABLE_EXIT_CODE
    assert "not usable: accuracy drop" in result.stdout
    (record,) = RECORDS.validate_json(records.read_bytes())
    assert record.report.accuracy < 0.1
    assert json.loads(records.read_bytes())[0]["key"] == L4.engine_key("int8")
    with pytest.raises(ReleaseError, match="too far from PyTorch: accuracy drop"):
        builds.engine(record).plan_for(builds.onnx_model)


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
    result = CliRunner().invoke(app, ["--model", NAME, "--version", "1"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "pip install visionops[tensorrt]" in line
