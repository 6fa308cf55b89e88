import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.camera_files import film
from tests.waiting import eventually
from visionops_assets.contracts import MediaKind
from visionops_assets.services.camera import process, watcher
from visionops_assets.services.camera.backlog import Backlog
from visionops_assets.services.camera.process import CaptureProcess, ChildEndedError
from visionops_assets.services.camera.state import CameraState
from visionops_assets.services.camera.watcher import Watcher, backoff_s
from visionops_assets.vision.capture.messages import (
    CaptureReply,
    CaptureRequest,
    CutRules,
    EndedReply,
)

SECRET = "not-for-children"


def request_for(address: str) -> CaptureRequest:
    return CaptureRequest(
        address=address,
        rules=CutRules(mode="still", every_s=0.2),
        memory_bytes=2 * 1024**3,
        max_pixels=10**6,
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "gate.mp4", 2.0)


class Watched:
    """A watcher in its thread, and the children it started."""

    def __init__(self, address: str) -> None:
        self.backlog, self.state, self.stop = Backlog(), CameraState(), Event()
        self.children: list[CaptureProcess] = []
        watching = Watcher(
            "gate", request_for(address), self.backlog, self.state, self.stop, start=self.start
        )
        self.thread = Thread(target=watching.run)
        self.thread.start()

    def start(self, request: CaptureRequest, stop: Event) -> CaptureProcess:
        self.children.append(CaptureProcess(request, stop))
        return self.children[-1]

    def end(self) -> None:
        self.stop.set()
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()
        assert not [child for child in self.children if psutil.pid_exists(child.pid)]


def test_a_child_that_is_killed_is_replaced(
    video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher, "FIRST_BACKOFF_S", 0.05)
    watched = Watched(f"file:{video}")
    try:
        eventually("two clips", lambda: watched.backlog.waiting >= 2)
        os.kill(watched.children[0].pid, signal.SIGKILL)
        eventually("a reconnection", lambda: watched.state.reconnects == 1)
        before = watched.backlog.waiting
        eventually(
            "more clips", lambda: watched.backlog.waiting >= before + 2 and watched.state.is_up
        )
        captured = watched.backlog.take(0)
        assert captured is not None
        assert captured.kind is MediaKind.IMAGE
        assert 0 <= (datetime.now(UTC) - captured.captured_at).total_seconds() < 60
    finally:
        watched.end()
    assert "exit status -9" in caplog.text


def test_a_child_that_falls_silent_is_replaced(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_SILENCE_S", 3.0)
    monkeypatch.setattr(process, "STOP_POLL_S", 0.1)
    stop = Event()
    with CaptureProcess(request_for(f"file:{video}"), stop) as child:
        replies = child.replies()
        next(replies)
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ChildEndedError, match="nothing came"):
            list(replies)


def test_a_child_knows_nothing_of_our_environment(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONOPS_API_KEY", SECRET)
    with CaptureProcess(request_for(f"file:{video}"), Event()) as child:
        next(child.replies())
        ours = psutil.Process(child.pid)
        assert SECRET not in str(ours.environ())
        assert str(video) not in str(ours.cmdline())
        assert ours.rlimit(psutil.RLIMIT_AS) == (2 * 1024**3, 2 * 1024**3)


def test_no_address_is_logged_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher, "FIRST_BACKOFF_S", 0.05)
    watched = Watched("rtsp://ann:hunter2@127.0.0.1:1/gate")
    try:
        eventually("reconnections", lambda: watched.state.reconnects >= 2)
    finally:
        watched.end()
    assert "Connection refused" in caplog.text
    assert "hunter2" not in caplog.text
    assert not watched.state.is_up


@given(st.integers(0, 10_000))
def test_patience_grows_up_to_a_bound(failures: int) -> None:
    longest_s = min(60.0, 2.0 ** (max(failures, 1) - 1)) if failures < 20 else 60
    assert longest_s / 2 <= backoff_s(failures) <= longest_s


def test_the_frame_rate_follows_the_stream() -> None:
    state = CameraState()
    state.seen(25, 0, 1.0, 100.0)
    assert state.frame_rate_hz == 25
    for second in range(20):
        state.seen(10, 1, 1.0, 101.0 + second)
    assert state.frame_rate_hz == pytest.approx(10, abs=0.1)
    assert (state.dropped_frames, state.last_seen_s) == (20, 120.0)
    state.seen(0, 0, 1.0, 130.0)
    assert state.last_seen_s == 120.0
    state.lost()
    assert (state.frame_rate_hz, state.reconnects) == (0, 1)


class Child:
    """A child that ends at once, or runs for as long as it is told."""

    def __init__(self, runs_s: float, clock: "Clock", *replies: CaptureReply) -> None:
        self._runs_s, self._clock, self._replies = runs_s, clock, replies

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._clock.now_s += self._runs_s

    def replies(self) -> Iterator[tuple[CaptureReply, bytes]]:
        for reply in self._replies:
            yield reply, b""


class Clock:
    """A clock that moves as it is told."""

    now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


def test_a_stream_that_ran_for_a_minute_is_asked_for_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a camera that is restarted each day would wait for a minute after a week."""
    clock, failed, state = Clock(), list[int](), CameraState()
    runs = iter([1.0, 60.0, 60.1, 0.0])
    stop = Event()

    def start(_: object, __: Event) -> Any:
        seconds = next(runs, None)
        if seconds is None:
            stop.set()
        return Child(seconds or 0.0, clock)

    def backoff(failures: int) -> float:
        failed.append(failures)
        return 0.0

    monkeypatch.setattr(watcher.time, "monotonic", clock.monotonic)  # type: ignore[attr-defined]
    monkeypatch.setattr(watcher, "backoff_s", backoff)
    Watcher("gate", cast(Any, None), Backlog(), state, stop, start=start).run()
    assert failed == [1, 2, 0, 1]
    assert state.reconnects == 4


def test_what_a_child_says_of_itself_is_one_line() -> None:
    clock, backlog, state = Clock(), Backlog(), CameraState()
    told = EndedReply(reason="no\nstream\x1b[31m")
    telling = Watcher(
        "gate", cast(Any, None), backlog, state, Event(),
        start=lambda *_: cast(Any, Child(0, clock, told)),
    )  # fmt: skip
    assert telling._watch_child() == "no stream [31m"
    silent = Watcher(
        "gate", cast(Any, None), backlog, state, Event(),
        start=lambda *_: cast(Any, Child(0, clock)),
    )  # fmt: skip
    assert silent._watch_child() == "stopped"
