import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.releasing.versions import golden
from tests.resources.memory_store import MemoryStore
from visionops_assets.contracts import Role
from visionops_assets.errors import (
    DeadlineExceededError,
    ReleaseError,
    ServerUnreachableError,
    UntrustedArtifactError,
    VisionOpsError,
)
from visionops_assets.releasing import replica as replica_module
from visionops_assets.releasing.replica import Replica, Version
from visionops_assets.releasing.replicas import Replicas
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.releasing.smoke import write_golden
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.tasks.base import Answer

GOLDEN = golden(one="1", two="2")
STEPS = ("load m-rehearsal", "predict m-rehearsal", "load m", "predict m")
SERVERS = 3


def files_of(version: int) -> dict[str, bytes]:
    config = (
        "name: 'm' instance_group [ { count: 2 } ] "
        f"version_policy {{ specific {{ versions: [{version}] }} }}"
    )
    return {
        "config.pbtxt": config.encode(),
        "model.onnx": b"w%d" % version,
        "model.json": b"{}",
        "model.py": b"",
        "golden.json": write_golden(GOLDEN),
    }


class FakeTriton:
    """Serves what it was told to; fails once at the step `fails_at`."""

    def __init__(self, number: int) -> None:
        self.address = f"triton-{number}:8001"
        self.served: dict[str, int] = {}
        self.roles: dict[str, str | None] = {}
        self.calls: list[str] = []
        self.recorded = 0
        self.fails_at: str | None = None
        self.is_down = False
        self.error_when_down: type[VisionOpsError] = ServerUnreachableError

    def _step(self, name: str) -> bool:
        if self.is_down:
            raise self.error_when_down(f"Triton at {self.address} does not answer.")
        self.calls.append(name)
        failing = self.fails_at == name
        if failing:
            self.fails_at = None
        return failing

    def load(self, model: str, config: str, files: Mapping[str, bytes]) -> None:
        if self._step(f"load {model}"):
            raise ReleaseError("It does not load.")
        parsed = json.loads(config)
        (version,) = parsed["version_policy"]["specific"]["versions"]
        assert files[f"{version}/model.onnx"] == b"w" + version.encode()
        assert not [path for path in files if "golden" in path]
        self.served[model] = int(version)
        role = parsed.get("parameters", {}).get("role")
        self.roles[model] = role["string_value"] if role else None

    def unload(self, model: str) -> None:
        self._step(f"unload {model}")
        self.served.pop(model, None)

    def served_version(self, model: str) -> int | None:
        self._step(f"ask {model}")
        return self.served.get(model)

    def loaded_models(self) -> list[str]:
        self._step("ask for all")
        return sorted(self.served)

    def predict(
        self, model: str, images: Sequence[bytes], timeout_s: float, *, record: bool, task: str
    ) -> list[ServedAnswer]:
        wrong = self._step(f"predict {model}")
        self.recorded += record
        answers = dict(zip(GOLDEN.images, GOLDEN.answers, strict=True))
        return [
            ServedAnswer(
                Answer(("wrong",)) if wrong else answers[i],
                (0.0,),
                uuid4(),
                self.served[model],
                "s",
            )
            for i in images
        ]


@cache
def _published() -> MemoryStore:
    """Versions 1 to 9 in an object store. Signing them takes longer than all the rest."""
    store = MemoryStore()
    repository = ModelRepository(cast("ObjectStore", store), "m")
    for version in range(1, 10):
        repository.publish(version, files_of(version))
    return store


class World:
    """Servers with versions 1 to 9 in the object store, and none served."""

    def __init__(self) -> None:
        self.store = _published().copy()
        self.tritons = [FakeTriton(number) for number in range(SERVERS)]
        self.repository = ModelRepository(cast("ObjectStore", self.store), "m")
        servers = cast("list[TritonServer]", self.tritons)
        self.replicas = Replicas(self.repository, servers, "m")

    def version(self, number: int) -> Version:
        return Version(number, partial(self.repository.read, number))

    def promote(self, number: int, previous: int | None) -> None:
        self.replicas.promote(self.version(number), previous)

    def assert_serves(self, number: int | None) -> None:
        """Every server serves exactly this."""
        expected = {} if number is None else {"m": number}
        assert [triton.served for triton in self.tritons] == [expected] * SERVERS


def test_a_version_is_rehearsed_on_all_before_any_is_switched_and_tested_unrecorded() -> None:
    world = World()
    world.promote(1, None)
    smoke_test = world.replicas.promote(world.version(2), 1)
    assert smoke_test.images == SERVERS * len(GOLDEN.images)
    world.assert_serves(2)
    for triton in world.tritons:
        steps = [call for call in triton.calls if call in STEPS]
        assert list(dict.fromkeys(steps)) == list(STEPS)
        assert triton.recorded == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from([None, *STEPS]), st.integers(0, SERVERS - 1)),
        min_size=1,
        max_size=6,
    )
)
def test_after_any_failure_every_server_serves_what_it_did(
    attempts: list[tuple[int, str | None, int]],
) -> None:
    world = World()
    champion: int | None = None
    for number, step, at in attempts:
        if number == champion:
            continue
        world.tritons[at].fails_at = step
        if step is None:
            world.promote(number, champion)
            champion = number
        else:
            with pytest.raises(ReleaseError):
                world.promote(number, champion)
        world.assert_serves(champion)


def test_a_version_that_fails_its_rehearsal_somewhere_is_switched_to_nowhere() -> None:
    world = World()
    world.promote(1, None)
    world.tritons[2].fails_at = "predict m-rehearsal"
    for triton in world.tritons:
        triton.calls.clear()
    with pytest.raises(ReleaseError, match="rehearsal"):
        world.promote(2, 1)
    assert not [t for t in world.tritons if "load m" in t.calls]


@pytest.mark.parametrize("error", [ServerUnreachableError, DeadlineExceededError])
def test_a_server_that_is_down_stops_a_promotion_but_not_a_rollback(
    error: type[VisionOpsError],
) -> None:
    world = World()
    world.promote(1, None)
    world.promote(2, 1)
    world.tritons[1].is_down, world.tritons[1].error_when_down = True, error
    with pytest.raises(ReleaseError, match="triton-1:8001 does not answer"):
        world.promote(3, 2)
    world.replicas.roll_back(world.version(1), 2)
    assert [triton.served["m"] for triton in world.tritons] == [1, 2, 1]
    world.tritons[1].is_down = False
    assert "loaded the champion" in " ".join(world.replicas.converge(world.version(1)))
    world.assert_serves(1)


def test_a_rollback_is_not_rehearsed_and_goes_back_when_it_fails() -> None:
    world = World()
    world.promote(1, None)
    world.promote(2, 1)
    world.tritons[2].calls.clear()
    world.tritons[2].fails_at = "predict m"
    with pytest.raises(ReleaseError, match="Version 2 serves as before"):
        world.replicas.roll_back(world.version(1), 2)
    world.assert_serves(2)
    assert not [call for call in world.tritons[2].calls if call.endswith("rehearsal")]
    world.replicas.roll_back(world.version(1), 2)
    world.assert_serves(1)


def test_a_server_that_goes_back_meanwhile_is_noticed() -> None:
    world = World()
    world.promote(1, None)
    asked = world.tritons[0].served_version
    first = world.tritons[0]
    first.served_version = lambda model: 1 if model == "m" else asked(model)  # type: ignore[method-assign]
    with pytest.raises(ReleaseError, match="triton-0:8001 went back to version 1"):
        world.promote(2, 1)
    assert [triton.served for triton in world.tritons[1:]] == [{"m": 1}] * (SERVERS - 1)


def test_an_interruption_also_goes_back_and_stays_an_interruption() -> None:
    world = World()
    world.promote(1, None)
    predict = world.tritons[1].predict

    def interrupted(
        model: str, images: Sequence[bytes], timeout_s: float, *, record: bool, task: str
    ) -> list[ServedAnswer]:
        if model == "m":
            raise KeyboardInterrupt
        return predict(model, images, timeout_s, record=record, task=task)

    world.tritons[1].predict = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.promote(2, 1)
    world.assert_serves(1)


def test_a_folder_that_was_changed_reaches_no_server() -> None:
    world = World()
    world.promote(1, None)
    world.promote(2, 1)
    world.store["releases/m/1/model.onnx"] = b"other"
    for triton in world.tritons:
        triton.calls.clear()
    with pytest.raises(UntrustedArtifactError):
        world.replicas.roll_back(world.version(1), 2)
    assert not [call for triton in world.tritons for call in triton.calls]


def test_servers_that_lost_their_models_or_were_left_half_way_get_the_champion() -> None:
    world = World()
    world.promote(3, None)
    world.tritons[0].served = {"m-rehearsal": 4}
    world.tritons[1].served = {"m": 4}
    world.tritons[2].is_down = True
    found = " ".join(world.replicas.converge(world.version(3)))
    assert "triton-0:8001: loaded" in found
    assert "triton-1:8001: loaded" in found
    assert "triton-2:8001 does not answer" in found
    world.tritons[2].is_down = False
    assert world.replicas.converge(world.version(3)) == []
    world.assert_serves(3)


def test_the_champions_files_are_not_read_while_all_is_as_it_should_be() -> None:
    world = World()
    world.promote(1, None)

    def read() -> dict[str, bytes]:
        raise AssertionError("They are large.")

    assert world.replicas.converge(Version(1, read)) == []


def test_a_candidate_is_loaded_beside_the_champion_in_its_role_and_kept_there() -> None:
    world = World()
    world.promote(1, None)
    world.replicas.load_candidate(world.version(2), Role.SHADOW)
    assert all(t.served == {"m": 1, "m-candidate": 2} for t in world.tritons)
    assert all(t.roles["m-candidate"] == "shadow" for t in world.tritons)
    world.tritons[1].served = {"m": 1}
    (said,) = world.replicas.converge_candidate(world.version(2), Role.SHADOW)
    assert "triton-1:8001" in said
    assert world.tritons[1].served == {"m": 1, "m-candidate": 2}
    assert world.tritons[1].roles["m-candidate"] == "shadow"
    assert len(world.replicas.unload_candidate()) == SERVERS
    assert world.replicas.unload_candidate() == []
    world.assert_serves(1)


def test_steps_of_ensembles_are_unloaded_when_their_version_is_over() -> None:
    world = World()
    world.promote(2, None)
    for triton in world.tritons:
        triton.served |= dict.fromkeys(("m-1-infer", "m-2-infer", "n-1-infer"), 1)
    world.replicas.converge(world.version(2))
    assert all("m-1-infer" in triton.served for triton in world.tritons)
    assert world.replicas.forget_steps({2}) == []
    assert world.replicas.unload_candidate() == []
    for triton in world.tritons:
        assert set(triton.served) == {"m", "m-2-infer", "n-1-infer"}


def test_a_first_release_that_fails_leaves_no_steps_of_its_ensemble() -> None:
    world = World()
    for triton in world.tritons:
        triton.served = {"m-1-infer": 1, "n-1-infer": 1}
    world.tritons[0].fails_at = "predict m"
    with pytest.raises(ReleaseError, match="Nothing is served"):
        world.promote(1, None)
    assert [triton.served for triton in world.tritons] == [{"n-1-infer": 1}] * SERVERS


@pytest.mark.parametrize("step", ["load m-candidate", "predict m-candidate"])
def test_a_candidate_that_fails_somewhere_is_loaded_nowhere(step: str) -> None:
    world = World()
    world.promote(1, None)
    world.tritons[1].fails_at = step
    with pytest.raises(ReleaseError, match="is not tried"):
        world.replicas.load_candidate(world.version(2), Role.CANARY)
    world.assert_serves(1)


def test_an_interruption_while_a_candidate_is_loaded_stays_one_and_leaves_none() -> None:
    world = World()
    world.promote(1, None)

    def interrupted(*_: object, **__: object) -> list[ServedAnswer]:
        raise KeyboardInterrupt

    world.tritons[1].predict = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.replicas.load_candidate(world.version(2), Role.CANARY)
    world.assert_serves(1)


class LaidOut:
    """A server that finds the steps of an ensemble after so many looks."""

    address = "triton:8001"

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def known_models(self) -> list[str]:
        self.looks -= 1
        return ["m-2-decode", "m-2-infer"] if self.looks < 0 else ["m-2-decode"]


@pytest.mark.parametrize(("looks", "waits"), [(0, 0), (3, 3), (300, 300), (302, None)])
def test_steps_of_an_ensemble_are_awaited_for_a_minute(
    monkeypatch: pytest.MonkeyPatch, looks: int, waits: int | None
) -> None:
    now_s, asked, slept = 0.0, list[int](), list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now_s
        slept.append(seconds)
        now_s = len(slept) * seconds

    clock = SimpleNamespace(monotonic=lambda: now_s, sleep=sleep)
    monkeypatch.setattr(replica_module, "time", clock)
    keeper = cast("ModelRepository", SimpleNamespace(ask_for_steps=asked.append))
    one = Replica(cast("TritonServer", LaidOut(looks)), "m", keeper)
    version = Version(2, dict)
    one._await_steps(version, set())
    assert (asked, slept) == ([], []), "a fused model has none"
    if waits is None:
        with pytest.raises(ReleaseError, match="triton:8001 does not find m-2-infer"):
            one._await_steps(version, {"m-2-decode", "m-2-infer"})
        return
    one._await_steps(version, {"m-2-decode", "m-2-infer"})
    assert asked == [2]
    assert slept == [0.2] * waits
