from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.camera_files import FRAME_RATE_HZ, bare_packet, film
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.vision.capture.clips import Clip, ClipCutter, VideoPacket, times_of, to_mp4
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

SPEC = PreprocessingSpec(size_px=16, video_sample_interval_s=1 / FRAME_RATE_HZ)
TICKS_PER_S = 100


def packet(number: int, *, key_every: int = 25, size: int = 100, jump: int = 0) -> VideoPacket:
    """Packet `number` of a stream of 25 a second."""
    made = bare_packet(size)
    made.pts = made.dts = number * TICKS_PER_S // 25 + jump
    made.is_keyframe = number % key_every == 0
    return made


def cut(cutter: ClipCutter, packets: list[VideoPacket], begin_at: set[int]) -> list[Clip]:
    """Feed the packets, begin at some of them; return the clips that ended."""
    clips = []
    for number, fed in enumerate(packets):
        ended = cutter.feed(fed, number / 25)
        if ended:
            clips.append(ended)
        if number in begin_at:
            cutter.begin()
    return clips


def test_a_clip_begins_with_the_key_frame_before_and_lasts_from_then_on() -> None:
    packets = [packet(number) for number in range(100)]
    (clip,) = cut(ClipCutter(1.0, 1 / TICKS_PER_S), packets, {35})
    assert clip.packets == packets[25:60]
    assert clip.began_s == 1.0
    assert clip.bytes == 35 * 100


def test_a_clip_begins_at_once_at_a_key_frame() -> None:
    packets = [packet(number) for number in range(60)]
    (clip,) = cut(ClipCutter(1.0, 1 / TICKS_PER_S), packets, {25})
    assert clip.packets == packets[25:50]


def test_without_a_key_frame_there_is_no_clip() -> None:
    cutter = ClipCutter(1.0, 1 / TICKS_PER_S)
    cutter.feed(packet(3), 0.0)
    assert not cutter.begin()
    assert not cutter.is_cutting


def test_a_clip_ends_where_the_clock_of_the_stream_jumps() -> None:
    for jump in (-40, 20 * TICKS_PER_S):
        packets = [packet(number, jump=jump if number >= 10 else 0) for number in range(40)]
        (clip,) = cut(ClipCutter(1.0, 1 / TICKS_PER_S), packets, {0})
        assert clip.packets == packets[:10]


@pytest.mark.parametrize("jump_s", [9.9, 10.1])
def test_a_clock_may_jump_by_ten_seconds(jump_s: float) -> None:
    jump = round(jump_s * TICKS_PER_S)
    packets = [packet(number, jump=jump if number >= 10 else 0) for number in range(40)]
    (clip,) = cut(ClipCutter(10.5, 1 / TICKS_PER_S), packets, {0})
    assert len(clip.packets) == (15 if jump_s < 10 else 10)


def test_a_clip_ends_rather_than_grow_too_large() -> None:
    """A message of a child is 32 MiB at most, and the file's index gets one of them."""
    packets = [packet(number, size=1024**2) for number in range(40)]
    (clip,) = cut(ClipCutter(5.0, 1 / TICKS_PER_S), packets, {0})
    assert clip.bytes == 31 * 1024**2


@pytest.mark.parametrize(("seconds", "is_kept"), [(60.0, True), (60.04, False)])
def test_what_was_long_ago_is_not_kept(seconds: float, is_kept: bool) -> None:
    cutter = ClipCutter(1.0, 1 / TICKS_PER_S)
    packets = [packet(number, key_every=10_000) for number in range(round(seconds * 25) + 1)]
    cut(cutter, packets, set())
    assert cutter.begin() is is_kept


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(-1, 30)), max_size=60),
    st.floats(0.2, 2),
)
def test_a_clip_is_always_whole(steps: list[tuple[bool, bool, int]], clip_s: float) -> None:
    """Whatever comes: a clip begins with a key frame, and its times go up."""
    cutter = ClipCutter(clip_s, 1 / TICKS_PER_S)
    dts, clips, fed = 0, [], []
    for number, (is_key, begins, step) in enumerate(steps):
        dts += step * 4
        made = bare_packet()
        made.pts = made.dts = dts
        made.is_keyframe = is_key
        fed.append(made)
        clips.append(cutter.feed(made, number / 25))
        if begins and not cutter.is_cutting:
            cutter.begin()
    clips.append(cutter.interrupt())
    for clip in filter(None, clips):
        assert clip.packets[0].is_keyframe
        times = [times_of(cut)[1] for cut in clip.packets]
        assert times == sorted(set(times))
        start = fed.index(clip.packets[0])
        assert fed[start : start + len(clip.packets)] == clip.packets


def packets_of(path: Path) -> tuple[av.container.InputContainer, list[VideoPacket]]:
    container = av.open(str(path))
    demuxed = container.demux(container.streams.video[0])
    return container, [found for found in demuxed if found.dts is not None]


@pytest.mark.parametrize(
    ("codec", "suffix", "b_frames"),
    [
        ("libx264", "mp4", True),
        ("libx264", "ts", True),
        ("libx264", "ts", False),
        ("libx265", "mkv", True),
        ("mpeg4", "avi", False),
        ("mjpeg", "mov", False),
    ],
)
def test_the_file_of_a_clip_is_healthy(
    tmp_path: Path, codec: str, suffix: str, b_frames: bool
) -> None:
    """It has every frame, begins at 0, and its index comes before the pictures."""
    source = film(tmp_path / f"a.{suffix}", 3.0, codec=codec, b_frames=b_frames)
    container, packets = packets_of(source)
    keys = [number for number, found in enumerate(packets) if found.is_keyframe]
    chosen = packets[keys[1] : keys[1] + 30]
    with container:
        content = to_mp4(chosen, container.streams.video[0])
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    assert sniff(content[:SNIFF_BYTES]) == (MediaKind.VIDEO, "video/mp4")
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(clip)) as opened:
        assert opened.duration is not None
        assert opened.duration / av.time_base == pytest.approx(30 / FRAME_RATE_HZ, abs=0.1)
    frames = list(
        decode_media(clip, MediaKind.VIDEO, SPEC, max_pixels=10**6, max_video_duration_s=10)
    )
    # Frames at the cut may be shown before ones that would have come after it.
    assert len(frames) == pytest.approx(30, abs=2)
    assert frames[0].time_s == 0


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_piece_from_a_key_frame_on_decodes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    source = folder / "any.mp4"
    if not source.exists():
        film(source, 3.0, size=(64, 48))
    container, packets = packets_of(source)
    with container:
        keys = [number for number, found in enumerate(packets) if found.is_keyframe]
        start = data.draw(st.sampled_from(keys))
        end = data.draw(st.integers(start + 1, len(packets)))
        clip = folder / "piece.mp4"
        clip.write_bytes(to_mp4(packets[start:end], container.streams.video[0]))
    with av.open(str(clip)) as cut_out:
        assert 1 <= sum(1 for _ in cut_out.decode(video=0)) <= end - start


@pytest.mark.parametrize(("pts", "dts"), [(None, 0), (0, None), (None, None)])
def test_a_packet_needs_both_of_its_times(pts: int | None, dts: int | None) -> None:
    made = bare_packet(1)
    made.pts, made.dts = pts, dts
    with pytest.raises(ValueError, match="without times"):
        times_of(made)


def test_a_clip_that_follows_another_has_a_beginning_of_its_own() -> None:
    """What was kept before it, in front of its key frame, is no part of it."""
    cutter = ClipCutter(1.0, 1 / TICKS_PER_S)
    for number in range(30):
        cutter.feed(packet(number), 100 + number / 25)
    assert cutter.begin()
    first = cutter.interrupt()
    assert first is not None
    assert first.began_s == 101.0
    assert not cutter.begin(), "earlier packets are forgotten"
    for number in range(30, 55):
        cutter.feed(packet(number), 100 + number / 25)
    assert cutter.begin()
    second = cutter.interrupt()
    assert second is not None
    assert (second.began_s, second.packets[0].is_keyframe) == (102.0, True)
