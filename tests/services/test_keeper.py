import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from tests.engine_records import KEY, record_of_plan
from tests.releasing.versions import ensemble, one_model, repository_in, steps_of_version
from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import EngineRow, Release
from visionops_assets.contracts import Role, Rollout
from visionops_assets.errors import (
    ReleaseError,
    ServerUnreachableError,
    UntrustedArtifactError,
)
from visionops_assets.releasing.engines import engine_prefix, write_engine
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services import keeper
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.keeper import Keeper
from visionops_assets.settings import Settings, heartbeat_file


class FakeCatalog:
    """Names what a test says."""

    def __init__(self) -> None:
        self.champion: Release | None = None
        self.other: Release | None = None
        self.rollout: Rollout | None = None
        self.engines: list[EngineRow] = []
        self.is_down = False

    @contextmanager
    def begin(self) -> Iterator["FakeCatalog"]:
        if self.is_down:
            raise ServerUnreachableError("The catalog does not answer.")
        yield self


class World:
    """A keeper, what it asks, and the folder beside its server."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store, self.catalog = MemoryStore(), FakeCatalog()
        self.keeper = self.started()

    def started(self) -> Keeper:
        catalog, store = cast("Catalog", self.catalog), cast("ObjectStore", self.store)
        return Keeper(catalog, store, self.home / "repository", ["m", "n"])

    def release(
        self, version: int, files: dict[str, bytes] | None = None, previous: int | None = None
    ) -> None:
        repository = repository_in(self.store)
        if files is not None:
            repository.publish(version, files)
        self.catalog.champion = Release(
            model_name="m",
            model_version=version,
            previous_version=previous,
            manifest_sha256=repository.manifest_sha256(version),
        )

    def models(self) -> set[str]:
        return {path.parent.name for path in self.home.glob("repository/*/config.pbtxt")}

    def content(self, path: str) -> bytes:
        return (self.home / "repository" / path).read_bytes()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(
        keeper, "champion", lambda session, name: session.champion if name == "m" else session.other
    )
    monkeypatch.setattr(
        keeper, "active_rollout", lambda session, name: session.rollout if name == "m" else None
    )
    monkeypatch.setattr(keeper, "wanted_engines", lambda session, *_: session.engines)
    return World(tmp_path)


def test_a_first_installation_has_nothing_to_lay_out(world: World) -> None:
    world.keeper.run_once()
    assert world.models() == set()


def test_the_folder_follows_the_champion(world: World) -> None:
    world.release(1, one_model(1))
    world.keeper.run_once()
    assert world.content("m/1/model.onnx") == b"weights 1"
    world.release(2, one_model(2), previous=1)
    world.keeper.run_once()
    assert b"[2]" in world.content("m/config.pbtxt")
    world.release(1, previous=2)
    world.keeper.run_once()
    assert b"[1]" in world.content("m/config.pbtxt")
    world.catalog.champion = None
    world.keeper.run_once()
    assert world.models() == set()


def test_an_altered_champion_of_one_model_leaves_the_other_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.release(1, one_model(1))
    other = repository_in(world.store, "n")
    other.publish(4, one_model(4))
    world.catalog.other = Release(
        model_name="n",
        model_version=4,
        previous_version=None,
        manifest_sha256=other.manifest_sha256(4),
    )
    world.keeper.run_once()
    assert world.models() == {"m", "n"}
    other.publish(5, one_model(5))
    world.catalog.other = Release(
        model_name="n", model_version=5, previous_version=None, manifest_sha256="0" * 64
    )
    world.release(2, one_model(2), previous=1)
    for _ in range(2):
        world.keeper.run_once()
    assert b"[2]" in world.content("m/config.pbtxt")
    assert b"[4]" in world.content("n/config.pbtxt")
    assert caplog.text.count("n is left to the next pass") == 1
    world.catalog.champion = None
    with pytest.raises((ReleaseError, UntrustedArtifactError)):
        world.keeper.run_once()
    assert world.models() == {"n"}


def test_a_champion_in_an_ensemble_has_its_steps(world: World) -> None:
    world.release(1, ensemble(1))
    world.release(2, ensemble(2), previous=1)
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(1), *steps_of_version(2)}
    world.release(3, one_model(3), previous=2)
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(2)}


def test_a_release_gets_the_steps_that_it_asks_for(world: World) -> None:
    world.release(1, one_model(1))
    other = repository_in(world.store, "n")
    for repository, model in ((repository_in(world.store), "m"), (other, "n")):
        repository.publish(7, ensemble(7, model))
        repository.ask_for_steps(7)
    world.keeper.run_once()
    asked = steps_of_version(7) | steps_of_version(7, "n")
    assert world.models() == {"m", *asked}
    repository_in(world.store).forget_asked(())
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(7, "n")}


def test_a_version_that_is_tried_keeps_its_steps(world: World) -> None:
    world.release(1, one_model(1))
    repository_in(world.store).publish(2, ensemble(2))
    world.catalog.rollout = Rollout(
        rollout_id=1,
        model_name="m",
        model_version=2,
        champion_version=1,
        role=Role.CANARY,
        share_percent=10,
        started_at=datetime.now(UTC),
    )
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(2)}


def test_what_was_altered_in_the_store_is_never_laid_out(world: World) -> None:
    """As somebody would who can write to the store, but has not the key that signs."""
    world.release(1, one_model(1))
    world.store["releases/m/1/model.py"] = b"import os"
    with pytest.raises(UntrustedArtifactError):
        world.keeper.run_once()
    assert world.models() == set()


def test_what_was_signed_again_after_its_release_is_refused(world: World) -> None:
    world.release(1, one_model(1))
    repository_in(world.store).publish(1, one_model(1) | {"model.onnx": b"other"})
    with pytest.raises(UntrustedArtifactError, match="not what was released"):
        world.keeper.run_once()


def engine_row(world: World, plan: bytes, version: int = 1) -> EngineRow:
    """Store an engine of the champion's weights, and return its row."""
    record = record_of_plan(plan, b"weights %d" % version, version=version)
    write_engine(cast("ObjectStore", world.store), record, plan)
    return EngineRow(gpu="NVIDIA-L4", key=record.key, plan_sha256=record.plan_sha256)


def test_an_engine_is_laid_out_beside_the_champion_that_still_starts_by_onnx(world: World) -> None:
    world.release(1, ensemble(1))
    row = engine_row(world, b"plan")
    world.catalog.engines = [row]
    world.keeper.run_once()
    assert row.plan_sha256 is not None
    step = f"m-1-engine_{row.plan_sha256[:8]}"
    assert world.models() == {"m", *steps_of_version(1), step}
    assert world.content(f"{step}/1/model.plan") == b"plan"
    assert b'backend: "tensorrt"' in world.content(f"{step}/config.pbtxt")
    assert world.content("m/config.pbtxt") == ensemble(1)["config.pbtxt"]
    world.catalog.engines = []
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(1)}


def test_an_engine_that_was_altered_is_not_laid_out_and_holds_up_nothing(world: World) -> None:
    world.release(1, ensemble(1))
    world.catalog.engines = [engine_row(world, b"plan")]
    world.store[engine_prefix("m", 1, KEY) + "model.plan"] = b"hostile"
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(1)}


def test_one_model_has_no_place_for_an_engine(world: World) -> None:
    world.release(1, one_model(1))
    world.catalog.engines = [engine_row(world, b"plan")]
    world.keeper.run_once()
    assert world.models() == {"m"}


def test_bad_steps_hold_up_nothing_else(world: World) -> None:
    world.release(1, one_model(1))
    repository = repository_in(world.store)
    for version in (8, 9):
        repository.publish(version, ensemble(version))
        repository.ask_for_steps(version)
    repository.ask_for_steps(10)
    world.store["releases/m/8/infer.py"] = b"import os"
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(9)}
    # A release that failed is made again under its number.
    repository.publish(8, ensemble(8))
    world.keeper.run_once()
    assert world.models() == {"m", *steps_of_version(9)}
    repository.publish(8, ensemble(8) | {"infer.py": b"better"})
    world.keeper.run_once()
    assert world.content("m-8-infer/1/model.py") == b"better"


def test_a_champion_that_is_gone_leaves_what_was_verified(world: World) -> None:
    world.release(1, one_model(1))
    world.keeper.run_once()
    world.store.delete("releases/m/1/manifest.json")
    world.keeper.run_once()
    assert world.models() == {"m"}
    with pytest.raises(ReleaseError):
        world.started().run_once()
    assert world.models() == {"m"}


def test_it_shows_life_once_the_folder_is_right_and_whatever_comes_then(world: World) -> None:
    settings = Settings(home=world.home)
    alive = heartbeat_file(settings, "keeper")
    stop = Turns(world)
    world.catalog.is_down = True
    stop.then = [
        lambda: alive.exists() and pytest.fail("It is not prepared."),
        lambda: setattr(world.catalog, "is_down", False),
        alive.unlink,
        lambda: setattr(world.catalog, "is_down", True),
        alive.unlink,
        lambda: alive.exists() or pytest.fail("A catalog that is down is not its end."),
    ]
    world.keeper.run(Heartbeat(settings, "keeper"), stop)


class Turns(threading.Event):
    """Says stop when each step of a test was done, one per pass."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.then: list[object] = []

    def wait(self, timeout: float | None = None) -> bool:
        step = self.then.pop(0)
        assert callable(step)
        step()
        if not self.then:
            self.set()
        return self.is_set()
