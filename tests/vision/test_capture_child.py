"""The child by itself: what it sends for a stream, and what it cannot reach."""

import contextlib
import io
import struct
import subprocess
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.vision.camera_files import FRAME_RATE_HZ, bare_packet, film
from visionops_assets.contracts import MediaKind
from visionops_assets.vision.capture import child as capture_child
from visionops_assets.vision.capture.child import Feed
from visionops_assets.vision.capture.clips import VideoPacket
from visionops_assets.vision.capture.cutting import Cut
from visionops_assets.vision.capture.messages import (
    CAPTURE_REPLY,
    MAX_CUT_BYTES,
    CaptureReply,
    CaptureRequest,
    CutReply,
    CutRules,
    EndedReply,
    HeartbeatReply,
    OpenedReply,
)
from visionops_assets.vision.sandbox.isolation import isolated
from visionops_assets.vision.sandbox.messages import encode_message, read_message

RULES = CutRules(mode="still", every_s=1)


def replies_to(request: CaptureRequest) -> Generator[tuple[CaptureReply, bytes], None, None]:
    """Run a child for as long as its replies are asked for."""
    with subprocess.Popen(
        isolated(capture_child.__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(encode_message(request))
        child.stdin.close()
        try:
            with contextlib.suppress(struct.error):  # the end
                while True:
                    header, body = read_message(child.stdout.read, max_body_bytes=MAX_CUT_BYTES)
                    yield CAPTURE_REPLY.validate_json(header), body
        finally:
            child.kill()


def request_for(address: str, memory_bytes: int = 2 * 1024**3) -> CaptureRequest:
    return CaptureRequest(address=address, rules=RULES, memory_bytes=memory_bytes, max_pixels=10**6)


def test_a_file_becomes_stills_and_heartbeats(tmp_path: Path) -> None:
    video = film(tmp_path / "gate.mp4", 2.0)
    replies = replies_to(request_for(f"file:{video}"))
    opened, _ = next(replies)
    assert opened == OpenedReply(codec="h264", width_px=160, height_px=96)
    still, jpeg = next(replies)
    assert isinstance(still, CutReply)
    assert still.age_s < 1
    assert jpeg.startswith(b"\xff\xd8\xff")
    beat = next(reply for reply, _ in replies if isinstance(reply, HeartbeatReply))
    assert beat.frames == pytest.approx(beat.interval_s * FRAME_RATE_HZ, abs=3)
    assert beat.dropped_frames == 0
    replies.close()


@pytest.mark.parametrize(
    "address", ["rtsp://ann:hunter2@127.0.0.1:1/gate", "http://ann:hunter2@127.0.0.1:1/gate.m3u8"]
)
def test_a_camera_that_is_not_there_is_said_so_without_the_password(address: str) -> None:
    ((reply, _),) = replies_to(request_for(address))
    assert reply == EndedReply(reason="Connection refused")


def test_a_child_without_enough_memory_ends(tmp_path: Path) -> None:
    video = film(tmp_path / "gate.mp4", 1.0)
    replies = list(replies_to(request_for(f"file:{video}", memory_bytes=50 * 1024**2)))
    assert not [reply for reply, _ in replies if isinstance(reply, CutReply)]


class Cutter:
    """Notes what it is fed; some packets do not decode."""

    def __init__(self, damaged: set[int]) -> None:
        self.damaged = damaged
        self.fed: list[int] = []
        self.interruptions = 0
        self.cuts: dict[int, Cut] = {}

    def feed(self, packet: VideoPacket, now_s: float) -> Cut | None:
        if packet.pts in self.damaged:
            raise ValueError("damaged")
        self.fed.append(packet.pts or 0)
        return self.cuts.get(packet.pts or 0)

    def interrupt(self) -> Cut | None:
        self.interruptions += 1
        return None


def feed(corrupt: set[int], damaged: set[int], key_every: int) -> tuple[Cutter, HeartbeatReply]:
    """Feed 20 packets; return what reached the cutter and what was counted."""
    cutter, replies = Cutter(damaged), io.BytesIO()
    fed = Feed(cutter, replies)
    for number in range(20):
        packet = bare_packet()
        packet.pts = packet.dts = number
        packet.is_keyframe = number % key_every == 0
        packet.is_corrupt = number in corrupt
        fed.take(packet)
    fed.beat(1e9)
    header, _ = read_message(io.BytesIO(replies.getvalue()).read, max_body_bytes=0)
    return cutter, HeartbeatReply.model_validate_json(header)


@pytest.mark.parametrize("how", ["corrupt", "damaged"])
def test_after_a_damaged_frame_all_is_left_out_up_to_the_next_key_frame(how: str) -> None:
    cutter, beat = feed(
        {7} if how == "corrupt" else set(), {7} if how == "damaged" else set(), key_every=5
    )
    assert cutter.fed == [number for number in range(20) if number not in {7, 8, 9}]
    assert cutter.interruptions == 1
    assert (beat.frames, beat.dropped_frames) == (20, 3)


def test_a_beat_a_second_allows_the_cpu_time_of_the_next_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a clip's age is counted from its beginning, whatever the clocks do."""
    clock, allowed = {"now_s": 100.0}, list[float]()
    cutter, replies = Cutter(set()), io.BytesIO()
    cutter.cuts = {3: Cut(MediaKind.IMAGE, b"still", 95.0), 4: Cut(MediaKind.IMAGE, b"", 999.0)}
    time = SimpleNamespace(monotonic=lambda: clock["now_s"])
    monkeypatch.setattr(capture_child, "time", time)
    monkeypatch.setattr(capture_child, "allow_cpu_time", allowed.append)
    fed = Feed(cutter, replies)
    for number, clock["now_s"] in enumerate((100.0, 100.5, 100.99, 101.0, 101.5, 102.1)):
        packet = bare_packet()
        packet.pts = packet.dts = number
        packet.is_keyframe = True
        fed.take(packet)
    assert allowed == [60, 60]
    read = io.BytesIO(replies.getvalue()).read
    sent = [read_message(read, max_body_bytes=10) for _ in range(4)]
    still, beat, other, last = (CAPTURE_REPLY.validate_json(header) for header, _ in sent)
    assert still == CutReply(kind=MediaKind.IMAGE, age_s=6.0)
    assert other == CutReply(kind=MediaKind.IMAGE, age_s=0.0)
    assert isinstance(beat, HeartbeatReply)
    assert isinstance(last, HeartbeatReply)
    assert (beat.frames, last.frames) == (4, 2)


def test_a_damaged_key_frame_takes_its_whole_group_along() -> None:
    cutter, beat = feed({5}, {10}, key_every=5)
    assert cutter.fed == [*range(5), *range(15, 20)]
    assert cutter.interruptions == 2
    assert beat.dropped_frames == 10
