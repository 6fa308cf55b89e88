"""What a pass does, in which order, and what it leaves while a server is down."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from visionops_assets.catalog import sweeping
from visionops_assets.catalog.sweeping import GivenUpUpload
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services import sweep
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.sweep import PAGE_ROWS, Sweep
from visionops_assets.settings import Settings, heartbeat_file
from visionops_assets.stack.probes import beats


class World:
    """Catalog and object store in memory; `log` notes what was done, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.objects: set[str] = set()
        self.store_is_down = False
        self.attempts: dict[UUID, int] = {}
        self.fenced = False
        self.expired_resumables: list[UUID] = []
        self.open_resumables: list[UUID] = []
        self.untaken = 0
        for name in (
            "fence_expired_uploads",
            "forget_upload",
            "announce_untaken",
            "lock_expired_resumable",
            "forget_resumable",
        ):
            monkeypatch.setattr(sweeping, name, getattr(self, f"_{name}"))
        monkeypatch.setattr(sweeping, "open_resumables", lambda _: self.open_resumables)
        monkeypatch.setattr(sweeping, "delete_acknowledgements", lambda *_: 3)
        monkeypatch.setattr(sweep, "abort_unfinished", lambda _: 1)

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None

    def delete(self, key: str) -> None:
        if self.store_is_down:
            raise ServerUnreachableError("The object store is down.")
        self.objects.discard(key)
        self.log.append(f"object {key}")

    def list_keys(self, prefix: str) -> list[str]:
        if self.store_is_down:
            raise ServerUnreachableError("The object store is down.")
        return sorted(key for key in self.objects if key.startswith(f"{prefix}/"))

    def _fence_expired_uploads(self, *_: object) -> list[GivenUpUpload]:
        """Every lease is expired until it is taken, once a pass."""
        if self.fenced:
            return []
        self.fenced = True
        for media_id in self.attempts:
            self.attempts[media_id] += 1
        return [GivenUpUpload(key, f"media/{key}", n) for key, n in self.attempts.items()]

    def _forget_upload(self, _: object, upload: GivenUpUpload) -> None:
        assert self.attempts.pop(upload.media_id) == upload.attempt
        self.log.append(f"row {upload.media_id}")

    def _announce_untaken(
        self, _session: object, _topic: str, _before: timedelta, after: UUID, limit: int
    ) -> tuple[int, UUID | None]:
        page = min(limit, self.untaken - after.int)
        last = after.int + page
        return page, UUID(int=last) if page == limit else None

    def _lock_expired_resumable(self, _: object) -> UUID | None:
        return self.expired_resumables[0] if self.expired_resumables else None

    def _forget_resumable(self, _: object, upload_id: UUID) -> None:
        self.expired_resumables.remove(upload_id)
        self.log.append(f"row {upload_id}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def sweeper(world: World) -> Sweep:
    return Sweep(Settings(), cast("Any", world), cast("Any", world))


def test_an_upload_given_up_loses_its_object_twice_and_its_row_last(
    world: World, sweeper: Sweep
) -> None:
    media_id = uuid4()
    key = f"media/{media_id}"
    world.attempts, world.objects = {media_id: 1}, {key}
    assert sweeper.run_once()[0]["uploads_given_up"] == 1
    assert world.log == [f"object {key}"]
    world.objects.add(key)  # A slow writer finished meanwhile.
    world.fenced = False
    sweeper.run_once()
    assert world.log[1:] == [f"object {key}", f"row {media_id}"]
    assert not world.objects
    assert not world.attempts


def test_while_the_store_is_down_rows_stay_and_the_catalogs_work_is_done(
    world: World, sweeper: Sweep
) -> None:
    media_id, upload_id = uuid4(), uuid4()
    world.attempts, world.expired_resumables = {media_id: 2}, [upload_id]
    world.untaken, world.store_is_down = 2, True
    done, failures = sweeper.run_once()
    assert len(failures) == 3
    assert (done["events_announced_again"], done["answers_forgotten"]) == (2, 3)
    assert world.attempts
    assert world.expired_resumables
    world.store_is_down, world.fenced = False, False
    done, failures = sweeper.run_once()
    assert failures == []
    assert (done["uploads_given_up"], done["resumable_uploads_expired"]) == (1, 1)
    assert not world.attempts
    assert not world.expired_resumables


def test_parts_go_unless_their_upload_is_open(world: World, sweeper: Sweep) -> None:
    still_open, complete = uuid4(), uuid4()
    world.open_resumables = [still_open]
    world.objects = {f"uploads/{still_open}/a", f"uploads/{complete}/a", f"uploads/{complete}/b"}
    assert sweeper.run_once()[0]["resumable_parts_deleted"] == 2
    assert world.objects == {f"uploads/{still_open}/a"}


def test_an_expired_upload_loses_its_parts_before_its_row(world: World, sweeper: Sweep) -> None:
    upload_id = uuid4()
    world.expired_resumables = world.open_resumables = [upload_id]
    world.objects = {f"uploads/{upload_id}/a", f"uploads/{upload_id}/b"}
    assert sweeper.run_once()[0]["resumable_uploads_expired"] == 1
    assert [line.split()[0] for line in world.log] == ["object", "object", "row"]


@pytest.mark.parametrize("untaken", [0, 1, PAGE_ROWS, 3 * PAGE_ROWS + 1])
def test_every_untaken_file_is_looked_at(world: World, sweeper: Sweep, untaken: int) -> None:
    world.untaken = untaken
    assert sweeper.run_once()[0]["events_announced_again"] == untaken


def test_unfinished_streams_are_looked_for_once_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now_s": 500.0}
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: clock["now_s"]))
    sweeper = Sweep(Settings(), cast("Any", world), cast("Any", world))
    aborted = [
        sweeper.run_once()[0]["streams_aborted"]
        for clock["now_s"] in (500.0, 500.0, 4_099.9, 4_100.0, 4_100.0)
    ]
    assert aborted == [1, 0, 0, 1, 0]


def test_each_task_goes_by_its_own_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, tuple[object, ...]] = {}

    def noted(name: str, answer: object) -> object:
        def call(*arguments: object) -> object:
            asked[name] = arguments[1:] if name != "streams" else arguments
            return answer

        return call

    for name, answer in (
        ("fence_expired_uploads", []),
        ("announce_untaken", (0, None)),
        ("delete_acknowledgements", 0),
    ):
        monkeypatch.setattr(sweeping, name, noted(name, answer))
    monkeypatch.setattr(sweep, "abort_unfinished", noted("streams", 0))
    settings = Settings(
        upload_lease_s=1,
        announce_again_after_s=2,
        idempotency_expiry_s=3,
        kafka_media_topic="m",
    )
    Sweep(settings, cast("Any", world), cast("Any", world)).run_once()
    assert asked == {
        "fence_expired_uploads": (timedelta(seconds=1), 200),
        "announce_untaken": ("m", timedelta(seconds=2), UUID(int=0), 200),
        "delete_acknowledgements": (timedelta(seconds=3),),
        "streams": (timedelta(days=1),),
    }


def test_it_runs_until_it_is_stopped(world: World, sweeper: Sweep, tmp_path: Path) -> None:
    class StopAfterTwo(Event):
        waits_s: tuple[float | None, ...] = ()

        def wait(self, timeout: float | None = None) -> bool:
            self.waits_s += (timeout,)
            if len(self.waits_s) == 2:
                self.set()
            return self.is_set()

    stop = StopAfterTwo()
    world.store_is_down = True
    started_at_s = time.time() - 1  # The clock of files is coarser.
    settings = Settings(home=tmp_path)
    sweeper.run(Heartbeat(settings, "sweep"), stop)
    assert beats(heartbeat_file(settings, "sweep"))(started_at_s)
    assert stop.waits_s == (Settings().sweep_interval_s,) * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_its_pass(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    handlers: dict[int, Any] = {}
    runs: list[bool] = []

    def run(heartbeat: Heartbeat, stop: Event) -> None:
        assert not stop.is_set()
        handlers[number](number, None)
        runs.append(stop.is_set())

    monkeypatch.setattr(sweep.signal, "signal", handlers.__setitem__)  # type: ignore[attr-defined]
    monkeypatch.setattr(sweep, "configure_logging", lambda: runs.append(True))
    monkeypatch.setattr(sweep, "Catalog", object)
    monkeypatch.setattr(sweep, "ObjectStore", object)
    monkeypatch.setattr(sweep, "Sweep", lambda *_: SimpleNamespace(run=run))
    sweep.main()
    assert runs == [True, True]
