import contextlib
import http.server
import itertools
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vision.camera_files import FRAME_RATE_HZ, bare_packet, film
from tests.vision.videos import write_audio
from visionops_assets.errors import NoVideoStreamError
from visionops_assets.vision.capture.clips import times_of
from visionops_assets.vision.capture.stream import CameraStream, timed

MAX_PIXELS = 10**6
BOUNDARY = "frame"


@pytest.mark.parametrize(
    ("suffix", "b_frames"),
    [("mp4", True), ("ts", True), ("mkv", True), ("mkv", False), ("avi", False)],
)
def test_the_times_of_a_file_go_on_where_it_begins_again(
    tmp_path: Path, suffix: str, b_frames: bool
) -> None:
    video = film(tmp_path / f"a.{suffix}", 1.0, b_frames=b_frames)
    with CameraStream(f"file:{video}", MAX_PIXELS) as stream:
        packets = list(itertools.islice(stream._timed_packets(), 80))
        times_s = [times_of(packet)[1] * stream.time_base_s for packet in packets]
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    steps = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    assert steps == pytest.approx([1 / FRAME_RATE_HZ] * 79, abs=0.002)
    assert keys == [0, 25, 50, 75]


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoVideoStreamError):
        CameraStream(f"file:{write_audio(tmp_path / 'a.mp4')}", MAX_PIXELS)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and `/mjpeg` as a camera without an index does."""

    def do_GET(self) -> None:
        if self.path != "/mjpeg":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        with av.open(str(Path(self.directory) / "pictures.mov")) as container:
            for packet in container.demux(video=0):
                content = bytes(packet)
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                head += f"Content-Length: {len(content)}\r\n\r\n"
                if content:
                    self.wfile.write(head.encode() + content + b"\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a real HTTP server of `tmp_path`."""
    handler = partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def frames_of(address: str) -> int:
    with CameraStream(address, MAX_PIXELS) as stream:
        decoded = 0
        with contextlib.suppress(av.OSError):  # the server hangs up
            for packet in stream.packets():
                decoded += len(stream.codec.decode(packet))
        return decoded


def playlist(folder: Path, segment: str, *, key: str = "") -> str:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", key, "#EXTINF:1,", segment, "#EXT-X-ENDLIST"]
    (folder / "list.m3u8").write_text("\n".join(filter(None, lines)))
    return "list.m3u8"


def test_hls_is_read(tmp_path: Path, server: str) -> None:
    film(tmp_path / "live.m3u8", 2.0, container="hls")
    assert frames_of(f"{server}/live.m3u8") >= 1.9 * FRAME_RATE_HZ


def test_pictures_over_http_are_read(tmp_path: Path, server: str) -> None:
    film(tmp_path / "pictures.mov", 0.4, codec="mjpeg")
    assert frames_of(f"{server}/mjpeg") >= 0.3 * FRAME_RATE_HZ


def test_a_playlist_leads_to_no_local_file(tmp_path: Path, server: str) -> None:
    secret = film(tmp_path / "secret.ts", 1.0)
    public = film(tmp_path / "public.ts", 1.0).name
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}",IV=0x{32 * "0"}'
    assert frames_of(f"{server}/{playlist(tmp_path, public)}") > 20
    for lists in (
        {"segment": f"file://{secret}"},
        {"segment": f"file:{secret}"},
        {"segment": f"concat:{secret}|{secret}"},
        {"segment": f"subfile,,start,0,end,0,,:{secret}"},
        {"segment": public, "key": key},
    ):
        address = f"{server}/{playlist(tmp_path, **lists)}"
        with pytest.raises((av.FFmpegError, NoVideoStreamError)):
            frames_of(address)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "ffconcat version 1.0\nfile real.ts\n"),
        ("a.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n"),
    ],
)
def test_a_local_file_is_a_video_and_no_script(
    tmp_path: Path, server: str, name: str, content: str
) -> None:
    film(tmp_path / "real.ts", 1.0)
    (tmp_path / name).write_text(content)
    with pytest.raises(av.FFmpegError):
        CameraStream(f"file:{tmp_path / name}", MAX_PIXELS)
    if name == "a.mp4":
        with pytest.raises(av.FFmpegError):
            CameraStream(f"{server}/{name}", MAX_PIXELS)


def test_of_packets_without_times_those_are_kept_that_a_picture_can_wait_for() -> None:
    """H.264 shows a frame at most 16 frames after it is decoded; without a duration each is 1."""
    packets = [bare_packet() for _ in range(21)]
    packets[-1].dts = packets[-1].pts = 100
    found = list(timed(packets))
    assert found == packets[4:]
    assert [times_of(packet) for packet in found] == [(time, time) for time in range(84, 101)]


def test_ffmpeg_is_told_how_long_to_wait_and_what_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def refuse(address: str, **options: Any) -> None:
        told.update(options, address=address)
        raise NoVideoStreamError("enough")

    monkeypatch.setattr("visionops_assets.vision.capture.stream.av.open", refuse)
    with pytest.raises(NoVideoStreamError):
        CameraStream("rtsp://gate.example/1", 1_234)
    assert told["timeout"] == (15, 15), "to open, and between two reads"
    options = told["options"]
    assert (options["max_pixels"], options["analyzeduration"]) == ("1234", "3000000")
    assert options["protocol_whitelist"] == "rtsp,rtsps,tcp,tls"
    assert options["rtsp_transport"] == "tcp", "UDP would open ports"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_every_packet_gets_times_that_go_up(known: list[tuple[bool, bool]]) -> None:
    packets = []
    for number, (has_pts, has_dts) in enumerate(known):
        packet = bare_packet()
        packet.pts = 10 * number + 20 if has_pts else None
        packet.dts = 10 * number if has_dts else None
        packet.duration = 10
        packets.append(packet)
    found = list(timed(packets))
    assert [packet for packet in packets if packet in found] == found
    assert [times_of(packet)[1] for packet in found] == [10 * packets.index(p) for p in found]
