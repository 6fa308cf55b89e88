from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.services.asgi_client import AsgiClient
from tests.services.test_camera_backlog import capture
from visionops_assets.catalog.cameras import CameraEntry, CameraSettings
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.camera import fleet
from visionops_assets.services.camera import running as running_module
from visionops_assets.services.camera.app import create_app
from visionops_assets.services.camera.backlog import Backlog
from visionops_assets.services.camera.fleet import Fleet
from visionops_assets.services.camera.running import RunningCamera
from visionops_assets.services.camera.state import CameraState
from visionops_assets.settings import Settings
from visionops_assets.vision.capture.messages import CutRules


def entry(name: str, address: str = "rtsp://ann:hunter2@gate.example/1") -> CameraEntry:
    settings = CameraSettings(rules=CutRules(), label=None)
    return CameraEntry(name, address, settings, datetime(2026, 1, 1, tzinfo=UTC))


class Running:
    """A camera that only notes what is asked of it."""

    def __init__(self, given: CameraEntry) -> None:
        self.entry = given
        self.state = CameraState()
        self.backlog = Backlog(max_bytes=50)
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True

    def join(self) -> None:
        assert self.stopped


class Catalog:
    """Cameras that can be changed, in a catalog that can be down."""

    def __init__(self) -> None:
        self.cameras: list[CameraEntry] = []
        self.begun: list[Running] = []
        self.is_down = False
        self.fleet = Fleet(self.read, self.begin)

    def read(self) -> Sequence[CameraEntry]:
        if self.is_down:
            raise ServerUnreachableError("The catalog does not answer.")
        return list(self.cameras)

    def begin(self, given: CameraEntry) -> RunningCamera:
        self.begun.append(Running(given))
        return cast(RunningCamera, self.begun[-1])

    def names(self) -> list[str]:
        return [camera.entry.name for camera in self.fleet.running()]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


def test_cameras_come_go_and_change(catalog: Catalog) -> None:
    catalog.cameras = [entry("gate"), entry("door")]
    catalog.fleet.refresh()
    assert catalog.names() == ["door", "gate"]
    catalog.cameras = [entry("gate"), entry("door", "rtsp://elsewhere/1"), entry("yard")]
    catalog.fleet.refresh()
    assert catalog.names() == ["door", "gate", "yard"]
    assert {running.entry.name for running in catalog.begun if running.stopped} == {"door"}
    assert len(catalog.begun) == 4
    catalog.cameras = []
    catalog.fleet.refresh()
    assert catalog.names() == []
    assert all(running.stopped for running in catalog.begun)


def test_cameras_go_on_while_the_catalog_is_down(catalog: Catalog) -> None:
    catalog.cameras = [entry("gate")]
    catalog.fleet.refresh()
    catalog.is_down = True
    with pytest.raises(ServerUnreachableError):
        catalog.fleet.refresh()
    assert catalog.names() == ["gate"]
    assert not catalog.begun[0].stopped


def test_at_the_end_every_camera_is_ended(catalog: Catalog) -> None:
    catalog.cameras = [entry("gate")]
    stop = Event()

    def read_and_stop() -> Sequence[CameraEntry]:
        stop.set()
        return catalog.cameras

    fleet = Fleet(read_and_stop, catalog.begin)
    fleet.run(stop)
    assert [running.stopped for running in catalog.begun] == [True]


def test_no_address_is_logged_whole(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    catalog.cameras = [entry("gate")]
    catalog.fleet.refresh()
    assert "rtsp://ann:***@gate.example/1" in caplog.text
    assert "hunter2" not in caplog.text + repr(catalog.cameras)


def test_the_service_shows_every_camera(catalog: Catalog) -> None:
    catalog.cameras = [entry("gate"), entry("door")]
    client = AsgiClient(create_app(catalog.fleet))
    catalog.fleet.refresh()
    gate = next(running for running in catalog.begun if running.entry.name == "gate")
    gate.state.opened()
    gate.state.seen(50, 3, 2.0, 1_000.0)
    gate.state.uploaded("stored")
    gate.state.uploaded("no_frames")
    for number in range(5):
        gate.backlog.add(capture(number))
    text = client.get("/metrics").text
    lines = set(text.splitlines())
    assert lines >= {
        'visionops_camera_up{camera="gate"} 1.0',
        'visionops_camera_up{camera="door"} 0.0',
        'visionops_camera_frame_rate_hz{camera="gate"} 25.0',
        'visionops_camera_last_seen_seconds{camera="gate"} 1000.0',
        'visionops_camera_waiting_clips{camera="gate"} 3.0',
        'visionops_camera_dropped_frames_total{camera="gate"} 3.0',
        'visionops_camera_dropped_clips_total{camera="gate"} 2.0',
        'visionops_camera_reconnects_total{camera="gate"} 0.0',
        'visionops_camera_uploads_total{camera="gate",outcome="stored"} 1.0',
        'visionops_camera_uploads_total{camera="gate",outcome="no_frames"} 1.0',
    }
    assert "hunter2" not in text


def test_the_service_is_not_ready_if_the_catalog_is_silent_for_15_s(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that was added meanwhile would not be watched, and nobody would know."""
    now_s = 100.0
    monkeypatch.setattr(fleet, "time", SimpleNamespace(monotonic=lambda: now_s))
    catalog.fleet.refresh()
    now_s = 115.0
    catalog.fleet.check_current()
    now_s = 115.1
    with pytest.raises(ServerUnreachableError):
        catalog.fleet.check_current()


def test_the_service_is_ready_once_it_knows_the_catalog(catalog: Catalog) -> None:
    before = AsgiClient(create_app(catalog.fleet))
    assert before.get("/readyz").status_code == 503
    assert before.get("/healthz").status_code == 200
    catalog.fleet.refresh()
    assert AsgiClient(create_app(catalog.fleet)).get("/readyz").status_code == 200


class Turns(Event):
    """Is set after some waits, and notes how long each was to be."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.left = turns
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self.left -= 1
        if self.left == 0:
            self.set()
        return self.is_set()


def test_the_catalog_is_asked_every_two_seconds_however_often_it_is_down(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [True, False, False, True, False, True]
    asked = iter(answers)

    def read() -> Sequence[CameraEntry]:
        if not next(asked):
            raise ServerUnreachableError("The catalog does not answer.")
        return [entry("gate")]

    stop = Turns(len(answers))
    Fleet(read, catalog.begin).run(stop)
    assert stop.waits == [2.0] * len(answers)
    assert len(catalog.begun) == 1
    assert caplog.text.count("the cameras stay as they are") == 2, "once each time it goes down"


def test_at_the_end_it_waits_for_each_camera(catalog: Catalog) -> None:
    joined = []

    def begin(given: CameraEntry) -> RunningCamera:
        running = Running(given)
        running.join = lambda: joined.append(given.name)  # type: ignore[method-assign]
        return cast(RunningCamera, running)

    Fleet(lambda: [entry("gate"), entry("door")], begin).run(Turns(1))
    assert joined == ["door", "gate"]


def test_the_rate_of_frames_settles_within_five_seconds() -> None:
    """The first figure counts as it is; each later one by three tenths."""
    state = CameraState()
    state.seen(20, 0, 2.0, 1.0)
    assert state.frame_rate_hz == 10
    state.seen(20, 1, 1.0, 2.0)
    assert state.frame_rate_hz == pytest.approx(13)
    state.seen(0, 2, 1.0, 3.0)
    assert state.frame_rate_hz == pytest.approx(9.1)
    assert (state.dropped_frames, state.last_seen_s) == (3, 2.0)
    state.lost()
    assert (state.is_up, state.frame_rate_hz, state.reconnects) == (False, 0, 1)


def test_a_camera_at_work_ends_when_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its watcher and its uploader run in threads of their own, and both see that it stops."""
    begun: list[str] = []

    def worker(role: str) -> Any:
        def make(*given: Any, **_: object) -> Any:
            (stop,) = (each for each in given if isinstance(each, Event))

            def run() -> None:
                begun.append(role)
                stop.wait(10)

            return SimpleNamespace(run=run)

        return make

    monkeypatch.setattr(running_module, "Watcher", worker("watch"))
    monkeypatch.setattr(running_module, "Uploader", worker("upload"))
    camera = RunningCamera(entry("gate"), cast(Any, None), Settings())
    assert not camera._stop.is_set()
    camera.stop()
    camera.join()
    assert sorted(begun) == ["upload", "watch"]
    assert not any(thread.is_alive() for thread in camera._threads)
