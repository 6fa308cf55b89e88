"""Cameras on real servers: a file, HLS and RTSP become media, whatever is killed meanwhile."""

import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from sqlalchemy import select

from tests.stacks import running_stack, visionops
from tests.vision.camera_files import FRAME_RATE_HZ, film
from tests.waiting import eventually
from visionops_assets.catalog import media as media_queries
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaKind, MediaStatus, PreprocessingSpec
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.stack.probes import accepts_connections
from visionops_assets.vision.capture import child as capture_child
from visionops_assets.vision.decoding import decode_media

PASSWORD = "pa:ss/w@rd"
DEBIAN_PYTHON = "/usr/bin/python3"
SPEC = PreprocessingSpec(size_px=16, video_sample_interval_s=1 / FRAME_RATE_HZ)


def has_gstreamer() -> bool:
    if not Path(DEBIAN_PYTHON).exists():
        return False
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    done = subprocess.run([DEBIAN_PYTHON, "-c", check], check=False, capture_output=True)
    return done.returncode == 0


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("cameras")
    with running_stack(home, {}, "--only", "ingest,relay,camera") as settings:
        yield settings


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute, so that no still is like another."""
    return film(tmp_path_factory.mktemp("film") / "gate.mp4", 60.0)


@contextmanager
def camera(name: str, url: str, *options: str) -> Iterator[None]:
    """Have a camera for the length of the block."""
    added = visionops("cameras", "add", name, url, *options)
    assert added.returncode == 0, added.stderr
    assert PASSWORD not in added.stdout
    try:
        yield
    finally:
        assert visionops("cameras", "rm", name).returncode == 0


def media_of(name: str) -> Sequence[Media]:
    """The acknowledged media of a camera, in the order they were filmed."""
    chosen = (
        select(Media)
        .where(Media.source == f"camera:{name}", Media.status != MediaStatus.RECEIVING)
        .order_by(Media.captured_at)
    )
    with Catalog().begin() as session:
        return session.scalars(chosen).all()


def listed(name: str) -> dict[str, Any]:
    """What `visionops cameras ls` says of a camera."""
    shown = visionops("cameras", "ls", "--json")
    assert shown.returncode == 0, shown.stderr
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    row: dict[str, Any] = next(row for row in rows if row["name"] == name)
    return row


def frames_in(row: Media, folder: Path) -> int:
    """Decode a stored file as the frames stage does."""
    path = folder / "stored"
    ObjectStore().download(row.object_key, path)
    assert row.kind is not None
    frames = decode_media(path, row.kind, SPEC, max_pixels=10**6, max_video_duration_s=60)
    return len(list(frames))


def pid_of(server: str) -> int:
    state = json.loads(visionops("status", "--json").stdout)
    return int(next(found["pid"] for found in state["servers"] if found["name"] == server))


def child_of(settings: Settings) -> psutil.Process:
    """The one process that reads a camera."""
    children = psutil.Process(pid_of("camera")).children()
    (child,) = [found for found in children if capture_child.__name__ in found.cmdline()]
    return child


def test_a_file_becomes_clips_that_decode(edge: Settings, video: Path, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with camera("gate", str(video), "--every", "3s", "--clip", "2s", "--label", "door"):
        eventually("media of the camera", lambda: len(media_of("gate")) >= 2)
        row = listed("gate")
    clips = media_of("gate")
    assert {clip.kind for clip in clips} == {MediaKind.VIDEO}
    assert [frames_in(clip, tmp_path) for clip in clips[:2]] == [2 * FRAME_RATE_HZ] * 2
    assert before < clips[0].captured_at < clips[1].captured_at < datetime.now(UTC)
    with Catalog().begin() as session:
        assert media_queries.newest_label(session, clips[0].media_id) == "door"
    assert row["up"] is True
    assert row["frame_rate_hz"] == pytest.approx(FRAME_RATE_HZ, rel=0.2)
    assert (row["dropped_frames"], row["dropped_clips"]) == (0, 0)
    assert datetime.now(UTC) - datetime.fromisoformat(row["last_seen"]) < timedelta(seconds=30)


def test_a_camera_that_was_removed_is_read_no_more(edge: Settings, video: Path) -> None:
    with camera("hall", str(video), "--mode", "still", "--every", "1s"):
        eventually("media of the camera", lambda: bool(media_of("hall")))
        child = child_of(edge)
    eventually("end of the child", lambda: not child.is_running(), 10)
    assert "hall" not in httpx.get(f"{edge.camera_url}/metrics").text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gate", "ftp://gate.example/1"), "cannot be read by ftp"),
        (("Gate!", "rtsp://gate.example/1"), "small letters"),
        (("gate", "rtsp://gate.example/1", "--every", "1s"), "does not fit"),
        (("gate", "rtsp://gate.example/1", "--every", "soon"), "soon"),
        (("gate", "rtsp://gate.example/1", "--motion", "--min-area", "2"), "min_area"),
        (("gate", "no-such-file.mp4"), "There is no file"),
    ],
)
def test_what_makes_no_camera_is_refused(
    edge: Settings, words: Sequence[str], message: str
) -> None:
    refused = visionops("cameras", "add", *words)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_name_is_given_once(edge: Settings, video: Path) -> None:
    with camera("yard", str(video), "--motion"):
        again = visionops("cameras", "add", "yard", str(video))
        assert again.returncode == 2
        assert "already" in again.stderr
    assert visionops("cameras", "rm", "yard").returncode == 2


def test_a_reader_that_is_killed_comes_back(edge: Settings, video: Path) -> None:
    with camera("lift", str(video), "--mode", "still", "--every", "1s"):
        eventually("media of the camera", lambda: len(media_of("lift")) >= 2)
        child_of(edge).kill()
        killed_at = datetime.now(UTC)
        eventually("media of the camera", lambda: media_of("lift")[-1].captured_at > killed_at)
        row = listed("lift")
    assert row["reconnects"] == 1
    assert row["up"] is True


def test_nothing_is_lost_while_ingest_is_away(edge: Settings, video: Path) -> None:
    with camera("dock", str(video), "--mode", "still", "--every", "1s"):
        eventually("media of the camera", lambda: len(media_of("dock")) >= 2)
        ingest = pid_of("ingest")
        os.kill(ingest, signal.SIGSTOP)
        stopped_at = datetime.now(UTC)
        time.sleep(5)
        os.kill(ingest, signal.SIGKILL)
        eventually(
            "media of the camera",
            lambda: media_of("dock")[-1].captured_at > stopped_at + timedelta(seconds=12),
        )
        row = listed("dock")
    captured = [still.captured_at for still in media_of("dock")]
    gaps_s = [(later - earlier).total_seconds() for earlier, later in pairwise(captured)]
    # A busy machine may take one late. Of the time without ingest there are five and more.
    assert max(gaps_s) < 2.5
    assert min(gaps_s) > 0.5
    assert row["dropped_clips"] == 0


def test_hls_becomes_clips(edge: Settings, tmp_path: Path) -> None:
    film(tmp_path / "live.m3u8", 8.0, container="hls")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{served.server_port}/live.m3u8?key={quote(PASSWORD)}"
        with camera("ramp", url, "--every", "3s", "--clip", "2s"):
            eventually("media of the camera", lambda: bool(media_of("ramp")))
            assert listed("ramp")["url"].endswith("/live.m3u8?***")
        served.shutdown()
        thread.join()
    assert frames_in(media_of("ramp")[0], tmp_path) == 2 * FRAME_RATE_HZ


@pytest.fixture
def rtsp_url(video: Path) -> Iterator[str]:
    """The address of a real RTSP server, with its password."""
    if not has_gstreamer():
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, ...-plugins-good")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("rtsp_server.py")
    command = [DEBIAN_PYTHON, str(script), str(video), str(port), "ann", PASSWORD]
    with subprocess.Popen(command) as server:
        try:
            eventually("the RTSP server", lambda: accepts_connections(f"127.0.0.1:{port}")(0))
            yield f"rtsp://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/gate"
        finally:
            server.kill()


@pytest.mark.attack
def test_rtsp_becomes_clips_and_its_password_stays_hidden(
    edge: Settings, rtsp_url: str, tmp_path: Path
) -> None:
    """The password of a camera that sends: no list, log or command line of a process shows it."""
    with camera("pier", rtsp_url, "--every", "3s", "--clip", "2s"):
        eventually("media of the camera", lambda: bool(media_of("pier")))
        row = listed("pier")
        # None of a process that has just ended.
        commands = [found.info["cmdline"] or [] for found in psutil.process_iter(["cmdline"])]
        arguments = str([command for command in commands if "-I" in command])
    assert row["url"].startswith("rtsp://ann:***@127.0.0.1:")
    assert frames_in(media_of("pier")[0], tmp_path) == pytest.approx(2 * FRAME_RATE_HZ, abs=2)
    logs = "".join(path.read_text() for path in (edge.home / "logs").glob("*.log"))
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in logs + str(row) + arguments
