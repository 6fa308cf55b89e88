"""Servers take the engine of their GPU, and go back to ONNX where it fails."""

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from tests.engine_records import record_of_plan
from tests.releasing.versions import STEPS, golden, one_model
from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.schema import EngineRow, Release
from visionops_assets.errors import ReleaseError, ServerUnreachableError
from visionops_assets.releasing import engine_following
from visionops_assets.releasing.audit import Audit
from visionops_assets.releasing.engine_following import follow_engines
from visionops_assets.releasing.engines import write_engine
from visionops_assets.releasing.replica import Version
from visionops_assets.releasing.replicas import Replicas
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.releasing.smoke import write_golden
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import Settings
from visionops_assets.tasks.base import Answer

GOLDEN = golden(one="1", two="2")
L4, A10 = "NVIDIA-L4", "NVIDIA-A10G"
ONNX = "m-1-infer"


def ensemble() -> dict[str, bytes]:
    files = one_model(1) | {"golden.json": write_golden(GOLDEN)}
    called = " ".join(f"step {{ model_name: 'm-1-{step}' model_version: 1 }}" for step in STEPS)
    files["config.pbtxt"] += f" ensemble_scheduling {{ {called} }}".encode()
    for step in STEPS:
        files[f"{step}.pbtxt"] = f"name: 'm-1-{step}' backend: 'onnxruntime'".encode()
        files[f"{step}.py"] = step.encode()
    return files


class FakeTriton:
    """Serves ensembles; refuses engines or answers wrongly by them if a test says so."""

    def __init__(self, number: int, name: str = "triton") -> None:
        self.address = f"triton-{number}:8001"
        self.name = name
        self.calls_by_model: dict[str, list[str]] = {}
        self.beside = {f"m-1-{step}" for step in STEPS}
        self.loads: list[str] = []
        self.refuses: str | None = None
        self.is_wrong = self.is_down = False

    def _asked(self) -> None:
        if self.is_down:
            raise ServerUnreachableError(f"Triton at {self.address} does not answer.")

    def given_name(self) -> str:
        self._asked()
        return self.name

    def known_models(self) -> list[str]:
        self._asked()
        return sorted(self.beside)

    def loaded_models(self) -> list[str]:
        self._asked()
        return sorted(self.calls_by_model)

    def served_version(self, model: str) -> int | None:
        self._asked()
        return 1 if model in self.calls_by_model else None

    def composing_models(self, model: str) -> list[str]:
        self._asked()
        return self.calls_by_model[model]

    def load(self, model: str, config: str, files: Mapping[str, bytes]) -> None:
        self._asked()
        self.loads.append(model)
        if self.refuses is not None and self.refuses in model:
            raise ReleaseError(f"{model} does not load.")
        steps = json.loads(config).get("ensemble_scheduling", {}).get("step", [])
        self.calls_by_model[model] = [step["model_name"] for step in steps]

    def unload(self, model: str) -> None:
        self._asked()
        self.calls_by_model.pop(model, None)

    def predict(
        self, model: str, images: Sequence[bytes], timeout_s: float, *, record: bool, task: str
    ) -> list[ServedAnswer]:
        assert not record
        answers = dict(zip(GOLDEN.images, GOLDEN.answers, strict=True))
        return [
            ServedAnswer(Answer(("x",)) if self.is_wrong else answers[i], (0.0,), uuid4(), 1, "s")
            for i in images
        ]

    @property
    def network(self) -> str:
        """The step that runs the champion's network."""
        return self.calls_by_model["m"][1]


class World:
    """Champion 1 as an ensemble on every server, and what the catalog knows of its engines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
        self.store = MemoryStore()
        store = cast("ObjectStore", self.store)
        repository = ModelRepository(store, "m")
        repository.publish(1, files)
        self.tritons = [FakeTriton(0), FakeTriton(1)]
        self.rows: list[EngineRow] = []
        self.noted: list[str] = []
        self.settings = Settings(engine_gpus=L4)
        self.version = Version(1, lambda: repository.read(1))
        servers = cast("list[TritonServer]", self.tritons)
        replicas = Replicas(repository, servers, "m")
        self._controller = SimpleNamespace(object_store=store, replicas=lambda _: replicas)
        for triton in self.tritons:
            triton.calls_by_model["m"] = [f"m-1-{step}" for step in STEPS]
        monkeypatch.setattr(engine_following, "engines_of", lambda *_: self.rows)
        monkeypatch.setattr(engine_following, "load_settings", lambda: self.settings)
        monkeypatch.setattr(engine_following, "move_engine", self._move)
        monkeypatch.setattr(Audit, "note", lambda audit, _session, _action: self._note(audit))

    def _move(self, _session: object, row: EngineRow, state: str, reason: str = "") -> None:
        row.state, row.reason = state, reason

    def _note(self, audit: Audit) -> None:
        self.noted.append(audit.order.reason)

    def engine(self, gpu: str = L4, plan: bytes = b"plan", weights: bytes = b"weights 1") -> str:
        """Build an engine, let keepers lay it out, and return the name of its step."""
        record = record_of_plan(plan, weights)
        record = record.model_copy(update={"key": f"{gpu}-{record.plan_sha256[:4]}"})
        write_engine(cast("ObjectStore", self.store), record, plan)
        row = EngineRow(
            model_name="m",
            model_version=1,
            gpu=gpu,
            state="ready",
            key=record.key,
            plan_sha256=record.plan_sha256,
        )
        self.rows = [*(row for row in self.rows if row.gpu != gpu), row]
        step = f"m-1-engine_{record.plan_sha256[:8]}"
        for triton in self.tritons:
            triton.beside.add(step)
        return step

    def follow(self) -> list[str]:
        release = Release(model_name="m", model_version=1)
        controller, session = cast("Any", self._controller), cast("Any", None)
        return follow_engines(controller, session, release, self.version)

    def state(self, gpu: str = L4) -> str:
        return next(str(row.state) for row in self.rows if row.gpu == gpu)

    @property
    def networks(self) -> list[str]:
        return [triton.network for triton in self.tritons]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch, ensemble())


def test_without_an_engine_no_server_is_asked(world: World) -> None:
    for triton in world.tritons:
        triton.is_down = True
    assert world.follow() == []


def test_servers_take_an_engine_that_came_after_a_rehearsal_and_it_is_noted_once(
    world: World,
) -> None:
    step = world.engine()
    said = world.follow()
    assert [line.partition(": ")[2] for line in said] == ["serves version 1 by its engine."] * 2
    for triton in world.tritons:
        assert triton.loads == [step, "m-rehearsal", "m"]
        assert "m-rehearsal" not in triton.calls_by_model
    assert world.networks == [step, step]
    assert (world.follow(), world.state()) == ([], "serving")
    assert world.follow() == []
    (noted,) = world.noted
    assert "serves on NVIDIA-L4" in noted


def test_a_restarted_server_serves_onnx_until_it_has_the_engine_again(world: World) -> None:
    step = world.engine()
    world.follow()
    world.tritons[0].calls_by_model["m"][1] = ONNX
    (said,) = world.follow()
    assert said == "triton-0:8001: serves version 1 by its engine."
    assert world.networks == [step, step]


def test_an_engine_waits_for_the_keeper_beside_its_server(world: World) -> None:
    step = world.engine()
    world.tritons[0].beside.remove(step)
    said = world.follow()
    assert f"triton-0:8001: {step} is not beside it yet; its keeper brings it." in said
    assert world.networks == [ONNX, step]
    world.tritons[0].beside.add(step)
    world.follow()
    assert world.networks == [step, step]


@pytest.mark.parametrize("refuses", ["engine", "m-rehearsal"])
def test_an_engine_that_one_server_refuses_is_taken_from_all_and_said(
    world: World, refuses: str
) -> None:
    step = world.engine()
    world.tritons[1].refuses = refuses
    world.follow()
    assert world.networks == [step, ONNX]
    assert world.state() == "refused"
    (noted,) = world.noted
    assert "ONNX serves on NVIDIA-L4. triton-1:8001" in noted
    assert "does not load" in world.rows[0].reason
    said = world.follow()
    assert said == ["triton-0:8001: serves version 1 by ONNX again."]
    assert world.networks == [ONNX, ONNX]
    # What is not served goes; what a request under way may need stays a turn longer.
    assert world.follow() == []
    assert all(step not in triton.calls_by_model for triton in world.tritons)


def test_an_engine_that_answers_wrongly_never_answers_a_client(world: World) -> None:
    world.engine()
    world.tritons[0].is_wrong = True
    world.follow()
    assert world.networks[0] == ONNX
    assert "m" not in world.tritons[0].loads
    assert world.state() == "refused"


def test_an_engine_of_other_weights_or_that_was_altered_is_refused(world: World) -> None:
    world.engine(weights=b"other")
    world.follow()
    assert "other weights" in world.rows[0].reason
    world.engine()
    world.store[f"releases/m/1/engines/{world.rows[0].key}/model.plan"] = b"hostile"
    world.follow()
    assert "checksum of model.plan differs" in world.rows[0].reason
    assert world.networks == [ONNX, ONNX]


def with_an_engine_of_its_own() -> dict[str, bytes]:
    """What earlier versions released where an engine was there."""
    files = ensemble() | {"model.plan": b"plan"}
    del files["model.onnx"]
    return files


@pytest.mark.parametrize(
    "files",
    [one_model(1) | {"golden.json": write_golden(GOLDEN)}, with_an_engine_of_its_own()],
    ids=["one model", "an earlier release"],
)
def test_a_version_without_a_place_for_an_engine_says_so_and_serves_on(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    world = World(monkeypatch, files)
    world.engine()
    world.follow()
    assert world.state() == "refused"
    assert "VISIONOPS_SERVING_LAYOUT" in world.rows[0].reason
    assert world.networks == [ONNX, ONNX]


def test_a_server_that_does_not_answer_refuses_nothing(world: World) -> None:
    step = world.engine()
    world.tritons[0].is_down = True
    assert "does not answer" in " ".join(world.follow())
    assert world.tritons[1].network == step
    world.follow()
    assert world.state() == "serving"


def test_of_several_kinds_each_server_takes_its_own_by_its_name(world: World) -> None:
    world.settings = Settings(engine_gpus=f"{L4},{A10},NVIDIA-T4")
    of_l4, of_a10 = world.engine(L4, b"one"), world.engine(A10, b"other")
    world.tritons[0].name, world.tritons[1].name = L4, A10
    world.follow()
    assert world.networks == [of_l4, of_a10]
    world.follow()
    assert (world.state(L4), world.state(A10)) == ("serving", "serving")


def test_a_server_whose_kind_is_not_known_serves_onnx(world: World) -> None:
    world.settings = Settings(engine_gpus=f"{L4},{A10}")
    world.engine(L4)
    assert world.follow() == []
    assert world.networks == [ONNX, ONNX]
    assert world.state() == "ready"


def test_a_kind_that_is_left_out_of_the_setting_goes_back_to_onnx(world: World) -> None:
    world.engine()
    world.follow()
    world.settings = Settings(engine_gpus="")
    assert all("by ONNX again" in line for line in world.follow())
    assert world.networks == [ONNX, ONNX]
    assert world.follow() == []


def test_a_newer_engine_is_not_put_under_the_name_of_the_old(world: World) -> None:
    before = world.engine(plan=b"one")
    world.follow()
    after = world.engine(plan=b"another")
    world.follow()
    assert world.networks == [after, after]
    assert before in world.tritons[0].calls_by_model
    world.follow()
    assert before not in world.tritons[0].calls_by_model
