import json
from collections.abc import Mapping, Sequence
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import NotFoundError, ReleaseError, ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import Answer, TritonServer
from visionops_assets.stages.serving.golden import GoldenSet
from visionops_assets.stages.serving.repository import ModelRepository
from visionops_assets.stages.serving.rollout import Rollout

GOLDEN = GoldenSet(images=(b"one", b"two"), labels=("1", "2"))
STEPS = ("load m-rehearsal", "predict m-rehearsal", "load m", "predict m")


def config_of(version: int) -> str:
    return (
        "name: 'm' instance_group [ { count: 2 } ] "
        f"version_policy {{ specific {{ versions: [{version}] }} }}"
    )


class FakeTriton:
    """Serves what it was told to; fails once at the step `fails_at`."""

    def __init__(self) -> None:
        self.served: dict[str, int] = {}
        self.recorded = 0
        self.fails_at: str | None = None
        self.is_down = False

    def _step(self, name: str) -> bool:
        if self.is_down:
            raise ServerUnreachableError("Triton is down.")
        failing = self.fails_at == name
        if failing:
            self.fails_at = None
        return failing

    def load(self, model: str, config: str, files: Mapping[str, bytes] | None = None) -> None:
        if self._step(f"load {model}"):
            raise ReleaseError("It does not load.")
        (version,) = json.loads(config)["version_policy"]["specific"]["versions"]
        assert files is None or f"{version}/model.onnx" in files
        self.served[model] = int(version)

    def unload(self, model: str) -> None:
        self._step(f"unload {model}")
        self.served.pop(model, None)

    def served_version(self, model: str) -> int | None:
        return self.served.get(model)

    def predict(
        self, model: str, images: Sequence[bytes], timeout_s: float, *, record: bool
    ) -> list[Answer]:
        wrong = self._step(f"predict {model}")
        self.recorded += record
        labels = dict(zip(GOLDEN.images, GOLDEN.labels, strict=True))
        return [
            Answer("wrong" if wrong else labels[i], (1.0,), (0.0,), uuid4(), self.served[model])
            for i in images
        ]


class MemoryStore(dict[str, bytes]):
    """The object store as a dictionary."""

    def put(self, key: str, data: bytes) -> None:
        self[key] = data

    create = put

    def get(self, key: str) -> bytes:  # type: ignore[override]
        if key not in self:
            raise NotFoundError(key)
        return self[key]

    def delete(self, key: str) -> None:
        self.pop(key, None)


class World:
    """A rollout with versions 1 to 9 published and none served."""

    def __init__(self) -> None:
        self.store, self.triton = MemoryStore(), FakeTriton()
        repository = ModelRepository(cast("ObjectStore", self.store), "m")
        for version in range(1, 10):
            config = config_of(version).encode()
            repository.publish(version, {"config.pbtxt": config, "model.onnx": b"w"})
        self.rollout = Rollout(repository, cast("TritonServer", self.triton), "m")

    @property
    def pinned(self) -> str | None:
        key = "triton/m/config.pbtxt"
        return self.store[key].decode() if key in self.store else None


def test_a_version_is_rehearsed_switched_to_and_tested_without_recording() -> None:
    world = World()
    world.rollout.switch(1, None, GOLDEN)
    smoke_test = world.rollout.switch(2, 1, GOLDEN)
    assert smoke_test.images == len(GOLDEN.images)
    assert world.triton.served == {"m": 2}
    assert world.pinned == config_of(2)
    assert world.triton.recorded == 0


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([None, *STEPS])), min_size=1, max_size=8)
)
def test_after_any_failure_what_served_before_serves_and_is_pinned(
    attempts: list[tuple[int, str | None]],
) -> None:
    world = World()
    champion: int | None = None
    for version, step in attempts:
        world.triton.fails_at = step
        if step is None:
            world.rollout.switch(version, champion, GOLDEN)
            champion = version
        else:
            with pytest.raises(ReleaseError):
                world.rollout.switch(version, champion, GOLDEN)
        assert world.triton.served == ({} if champion is None else {"m": champion})
        assert world.pinned == (None if champion is None else config_of(champion))


def test_a_version_that_fails_its_rehearsal_never_touches_the_pinned_one() -> None:
    world = World()
    world.rollout.switch(1, None, GOLDEN)
    world.triton.fails_at = "predict m-rehearsal"
    before = dict(world.store)
    with pytest.raises(ReleaseError, match="rehearsal"):
        world.rollout.switch(2, 1, GOLDEN)
    assert dict(world.store) == before


def test_an_interruption_also_goes_back_and_stays_an_interruption() -> None:
    world = World()
    world.rollout.switch(1, None, GOLDEN)
    calls = iter([None, KeyboardInterrupt()])
    predict = world.triton.predict

    def interrupted(
        model: str, images: Sequence[bytes], timeout_s: float, *, record: bool
    ) -> list[Answer]:
        if model == "m" and (error := next(calls)):
            raise error
        return predict(model, images, timeout_s, record=record)

    world.triton.predict = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.rollout.switch(2, 1, GOLDEN)
    assert world.triton.served == {"m": 1}


def test_a_server_that_lost_its_models_gets_the_champion_again() -> None:
    world = World()
    world.rollout.switch(3, None, GOLDEN)
    world.triton.served = {"m-rehearsal": 4}
    assert world.rollout.converge(3) is True
    assert world.triton.served == {"m": 3}
    assert world.rollout.converge(3) is False


def test_converging_says_when_the_server_is_down() -> None:
    world = World()
    world.triton.is_down = True
    with pytest.raises(ServerUnreachableError):
        world.rollout.converge(3)
