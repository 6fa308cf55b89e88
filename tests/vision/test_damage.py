"""A video that was cut off or is damaged gives an error, and a sound one all its frames."""

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest

from tests.vision.corpus import (
    CASES,
    TWO_SECONDS,
    cut,
    mp4,
    times_of,
    video,
)
from tests.vision.tiffs import tiff
from tests.vision.videos import (
    TRANSPORT_PACKET_BYTES,
    corrected_packets,
    timed_packets,
    write_video,
)
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    TooLongError,
    UnsupportedCodecError,
    UnsupportedMediaError,
)
from visionops_assets.vision.checksums import check_checksums
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.preprocessing import Frame, preprocess_image
from visionops_assets.vision.second_decoder import decode_by_pillow

EVERY_FRAME = PreprocessingSpec(size_px=16, video_sample_interval_s=0.03)
VIDEOS = [
    ("mp4", "libx264"), ("mp4", "libx265"), ("mp4", "mpeg4"), ("mov", "libx264"),
    ("mkv", "libx264"), ("mkv", "libx265"), ("webm", "libvpx"), ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"), ("ts", "libx264"), ("ts", "mpeg2video"), ("mpg", "mpeg1video"),
    ("vob", "mpeg2video"), ("vob", "libx264"), ("wmv", "wmv2"), ("asf", "msmpeg4"),
    ("wmv", "libx264"), ("flv", "libx264"), ("ogv", "libvpx"), ("mxf", "mpeg2video"),
]  # fmt: skip
IMAGES = [name for name, case in CASES.items() if case.code is None and case.kind == "image"]


Decode = Callable[..., list[Frame]]


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    def decode_bytes(data: bytes, max_duration_s: float = 60.0) -> list[Frame]:
        path = tmp_path / "media"
        path.write_bytes(data)
        frames = decode_media(
            path,
            MediaKind.VIDEO,
            EVERY_FRAME,
            max_pixels=10_000,
            max_video_duration_s=max_duration_s,
        )
        return [frame.pixels for frame in frames]

    return decode_bytes


@pytest.mark.parametrize(("extension", "codec"), VIDEOS)
@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75, 0.95])
def test_a_video_that_was_cut_off_is_corrupt(
    decode: Decode, extension: str, codec: str, keep: float
) -> None:
    data = video(extension, codec, times_of(codec))
    assert len(decode(data)) == len(TWO_SECONDS)
    with pytest.raises(CorruptMediaError):
        decode(cut(data, keep))


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
@pytest.mark.parametrize("keep", [0.4, 0.6, 0.95, 0.999])
def test_an_index_in_front_does_not_hide_the_cut(
    decode: Decode, tmp_path: Path, movflags: str, keep: float
) -> None:
    path = write_video(
        tmp_path / "v.mp4", TWO_SECONDS, codec="libx264", options={"movflags": movflags}
    )
    assert len(decode(path.read_bytes())) == len(TWO_SECONDS)
    with pytest.raises(CorruptMediaError):
        decode(cut(path.read_bytes(), keep))


@pytest.mark.parametrize("keep", [0.4, 0.8, 0.99])
def test_a_live_recording_has_no_lengths_but_whole_blocks(
    decode: Decode, tmp_path: Path, keep: float
) -> None:
    path = write_video(tmp_path / "v.webm", TWO_SECONDS, codec="libvpx", options={"live": "1"})
    assert len(decode(path.read_bytes())) == len(TWO_SECONDS)
    with pytest.raises(CorruptMediaError):
        decode(cut(path.read_bytes(), keep))


@pytest.mark.parametrize(
    # FFmpeg leaves out what it cannot read of ASF, without a word.
    ("extension", "codec"),
    [video for video in VIDEOS if video[0] not in ("wmv", "asf")],
)
def test_a_hole_costs_no_frame_but_its_own(
    decode: Decode, tmp_path: Path, extension: str, codec: str
) -> None:
    path = write_video(tmp_path / f"v.{extension}", times_of(codec), codec=codec, noise=40)
    data = path.read_bytes()
    for keep in (0.3, 0.4, 0.5, 0.6):
        at = int(len(data) * keep)
        try:
            frames = decode(data[:at] + bytes(400) + data[at + 400 :])
        except CorruptMediaError:
            continue
        # A decoder may take a frame without its start for one that was left out on purpose.
        assert len(frames) >= len(TWO_SECONDS) - 1


@pytest.mark.parametrize("tail", [bytes(300), b"junk", b"TAG" + bytes(125)])
def test_a_tail_behind_the_last_box_does_no_harm(decode: Decode, tail: bytes) -> None:
    assert len(decode(mp4() + tail)) == len(TWO_SECONDS)


@pytest.mark.parametrize(("skipped", "kept"), [(0, 20), (3, 7), (7, 13), (12, 8)])
def test_an_edit_list_shows_its_part_only(decode: Decode, skipped: int, kept: int) -> None:
    data = bytearray(mp4())
    entry = data.index(b"elst") + 12  # its first entry: duration in ms, start in ticks
    start = int.from_bytes(data[entry + 4 : entry + 8], "big")
    ticks_a_frame = start // 2  # the encoder delays the first frame by two
    data[entry : entry + 4] = (100 * kept).to_bytes(4, "big")
    data[entry + 4 : entry + 8] = (start + skipped * ticks_a_frame).to_bytes(4, "big")
    assert len(decode(bytes(data))) == kept


@pytest.mark.parametrize(
    ("container_format", "codec"),
    [("avi", "mpeg4"), ("matroska", "libx264"), ("webm", "libvpx"), ("mpegts", "libx264")],
)
def test_a_file_written_to_a_pipe_has_no_lengths(
    decode: Decode, container_format: str, codec: str
) -> None:
    pipe = Mock(spec=["write"])
    with av.open(pipe, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in TWO_SECONDS:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    written = b"".join(call.args[0] for call in pipe.write.call_args_list)
    assert len(decode(written)) == len(TWO_SECONDS)


def test_titles_in_another_encoding_do_no_harm(decode: Decode, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", TWO_SECONDS, metadata={"title": "xx caf"})
    data = path.read_bytes().replace(b"xx caf", b"\xe9\xe8 caf")
    assert len(decode(data)) == len(TWO_SECONDS)


def test_a_transport_stream_may_begin_midway(decode: Decode, tmp_path: Path) -> None:
    times_s = [i / 10 for i in range(24)]
    path = write_video(
        tmp_path / "v.ts", times_s, codec="libx264", codec_options={"g": "6", "bf": "2"}
    )
    packets = path.stat().st_size // TRANSPORT_PACKET_BYTES
    whole = decode(path.read_bytes())
    assert len(whole) == len(times_s)
    for first_packet in range(1, packets // 2, 5):
        frames = decode(path.read_bytes()[first_packet * TRANSPORT_PACKET_BYTES :])
        assert 6 <= len(frames) <= len(whole)
        assert np.array_equal(frames, whole[-len(frames) :])


@pytest.mark.parametrize("wrapped", [timed_packets, corrected_packets])
def test_longer_transport_packets_are_read_and_their_damage_is_noticed(
    decode: Decode, wrapped: Callable[[bytes], bytes]
) -> None:
    data = wrapped(video("ts", "libx264", TWO_SECONDS))
    packet_bytes = len(wrapped(bytes(TRANSPORT_PACKET_BYTES)))
    assert len(decode(data)) == len(TWO_SECONDS)
    middle = len(data) // packet_bytes // 2 * packet_bytes
    for damaged in (data[:-1], data[:middle] + data[middle + 1 :], cut(data, 0.7)):
        with pytest.raises(CorruptMediaError):
            decode(damaged)


def test_a_lost_transport_packet_is_noticed(decode: Decode) -> None:
    data = video("ts", "libx264", TWO_SECONDS)
    middle = len(data) // TRANSPORT_PACKET_BYTES // 2 * TRANSPORT_PACKET_BYTES
    with pytest.raises(CorruptMediaError):
        decode(data[:middle] + bytes(TRANSPORT_PACKET_BYTES) + data[middle:])


def test_the_duration_is_checked_as_declared_and_as_found(decode: Decode) -> None:
    with pytest.raises(TooLongError, match="lasts 2 s"):
        decode(video("mp4", "libx264", TWO_SECONDS), max_duration_s=1.9)
    lying = bytearray(video("webm", "libvpx", TWO_SECONDS))
    declared = lying.index(b"\x44\x89\x88")  # the Duration element: a float of 8 bytes, in ms
    lying[declared + 3 : declared + 11] = bytes.fromhex("408f400000000000")  # 1000.0
    with pytest.raises(TooLongError):
        decode(bytes(lying), max_duration_s=1.5)


def test_a_codec_off_the_list_is_refused(decode: Decode) -> None:
    with pytest.raises(UnsupportedCodecError, match="flv1"):
        decode(video("avi", "flv", (0.0, 0.1)))


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_that_was_cut_off_is_corrupt_wherever(name: str) -> None:
    data = CASES[name].make()
    decode_image = partial(
        preprocess_image, spec=EVERY_FRAME, max_pixels=10_000, second_decoder=decode_by_pillow
    )
    whole = decode_image(data)
    for end in {*range(1, len(data), max(1, len(data) // 40)), len(data) - 1}:
        try:
            frame = decode_image(data[:end])
        except (CorruptMediaError, UnsupportedMediaError):
            continue
        # The last bits of a TIFF may be padding; the footer of a TGA is optional.
        assert name.endswith((".tiff", ".tga"))
        assert np.array_equal(frame, whole)


def deflated(*, tiled: bool = False, end: bytes | None = None) -> bytes:
    """Return a TIFF of 64 x 64 in two deflated parts; `end` replaces the checksum of the second."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8).tobytes()
    parts = [zlib.compress(noise[:2048]), zlib.compress(noise[2048:])]
    if end is not None:
        parts[1] = parts[1][:-4] + end
    return tiff(parts, (64, 64), compression=8, is_tiled=tiled)


@pytest.mark.parametrize("tiled", [False, True])
def test_the_checksum_of_each_deflated_part_counts(tiled: bool) -> None:
    sound = deflated(tiled=tiled)
    assert preprocess_image(sound, EVERY_FRAME, max_pixels=10_000).any()
    check_checksums(sound)
    check_checksums(deflated(tiled=tiled, end=b""))  # the pixels are all there
    with pytest.raises(CorruptMediaError, match="damaged inside"):
        check_checksums(deflated(tiled=tiled, end=bytes(4)))


def test_no_more_is_inflated_than_the_pixels_need() -> None:
    bomb = zlib.compress(bytes(1 << 22))
    data = tiff(bomb[:-4] + bytes(4), (8, 8), compression=8)
    check_checksums(data)
