import io
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
from av.stream import Discard

from tests.vision.corpus import TWO_SECONDS, cut, mp4, video
from visionops_assets.errors import (
    CorruptMediaError,
    NoFramesError,
    TooLongError,
    TooManyPixelsError,
    UnsupportedCodecError,
)
from visionops_assets.vision import probing, videos
from visionops_assets.vision.inspection import VideoFacts
from visionops_assets.vision.probing import probe_video
from visionops_assets.vision.sandbox.messages import MAX_PROBE_BLOCKS, READ_BLOCK_BYTES

MP4_FACTS = VideoFacts(
    width=64, height=48, duration_s=2.0, codec="h264", container="mov,mp4,m4a,3gp,3g2,mj2"
)


class Store:
    """Stands for the object store: keeps count of what was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, count: int) -> bytes:
        self.reads.append((offset, count))
        return self.data[offset : offset + count]


def probe(
    data: bytes, max_pixels: int = 64 * 48, max_duration_s: float = 2.0
) -> tuple[VideoFacts, list[tuple[int, int]]]:
    store = Store(data)
    facts = probe_video(store.read, len(data), max_pixels=max_pixels, max_duration_s=max_duration_s)
    return facts, store.reads


@pytest.mark.parametrize(
    ("extension", "codec", "codec_name"),
    [("mp4", "mpeg4", "mpeg4"), ("mov", "libx264", "h264"), ("mkv", "libx265", "hevc"),
     ("avi", "mpeg4", "mpeg4"), ("ts", "libx264", "h264"), ("webm", "libvpx-vp9", "vp9")],
)  # fmt: skip
def test_each_container_is_read(extension: str, codec: str, codec_name: str) -> None:
    facts, _ = probe(video(extension, codec, TWO_SECONDS))
    assert (facts.width, facts.height, facts.codec) == (64, 48, codec_name)
    assert facts.duration_s == pytest.approx(2.0, abs=0.11)


def test_a_long_file_is_read_at_its_ends_only() -> None:
    data = mp4()
    index = data.rindex(b"moov") - 4
    padding = (40 * 1024**2).to_bytes(4, "big") + b"free" + bytes(40 * 1024**2 - 8)
    facts, reads = probe(data[:index] + padding + data[index:])
    assert facts == MP4_FACTS
    assert len(reads) <= 4
    assert all(count <= READ_BLOCK_BYTES for _, count in reads)


def test_a_file_that_leads_from_block_to_block_is_given_up() -> None:
    brand = mp4()[:32]
    blocks: list[int] = []

    def read(offset: int, count: int) -> bytes:
        """Return a block that is one box of padding."""
        blocks.append(offset)
        start = b"" if offset else brand
        return start + (count - len(start)).to_bytes(4, "big") + b"free" + bytes(count)

    with pytest.raises(CorruptMediaError):
        probe_video(read, READ_BLOCK_BYTES * 10_000, max_pixels=1, max_duration_s=1.0)
    assert len(blocks) == MAX_PROBE_BLOCKS


def test_the_limits_are_the_last_that_pass() -> None:
    assert probe(mp4())[0] == MP4_FACTS
    with pytest.raises(TooManyPixelsError, match="64 x 48"):
        probe(mp4(), max_pixels=64 * 48 - 1)
    with pytest.raises(TooLongError, match="Cut it"):
        probe(mp4(), max_duration_s=1.9)


@pytest.mark.parametrize("size", [(1, 8), (8, 1), (0, 8), (8, 0)])
def test_a_picture_needs_a_pixel_in_both_directions(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    codec = SimpleNamespace(
        width=size[0], height=size[1], codec=SimpleNamespace(canonical_name="ffv1")
    )
    stream = SimpleNamespace(codec_context=codec, sample_aspect_ratio=None)
    container: Any = SimpleNamespace(format=SimpleNamespace(name="matroska"))
    monkeypatch.setattr(videos, "_video_stream", lambda _: stream)
    monkeypatch.setattr(videos, "_duration_s", lambda *_: 1.0)
    with nullcontext() if min(size) else pytest.raises(CorruptMediaError, match="declares"):
        _, facts = videos.check_video(container, max_pixels=8, max_duration_s=1.0)
        assert (facts.width, facts.height) == size


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "avi"])
def test_what_was_cut_off_is_corrupt_or_left_to_the_decoder(extension: str, keep: float) -> None:
    codec = "mpeg4" if extension == "avi" else "libx264"
    data = cut(video(extension, codec, TWO_SECONDS), keep)
    try:
        probe(data)
    except CorruptMediaError:
        return


def test_an_object_that_is_shorter_than_announced_is_corrupt() -> None:
    store = Store(mp4()[:100])
    with pytest.raises(CorruptMediaError):
        probe_video(store.read, len(mp4()), max_pixels=64 * 48, max_duration_s=2.0)


class Blocks:
    """A file of 20 bytes that is read in blocks of 8, and the reads of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size_bytes: int = 20) -> None:
        monkeypatch.setattr(probing, "READ_BLOCK_BYTES", 8)
        self.store = Store(bytes(range(size_bytes)))
        self.file = probing._BlockFile(self.store.read, size_bytes)


def test_a_file_of_blocks_reads_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for size_bytes in (15, 16, 17, 20):
        blocks = Blocks(monkeypatch, size_bytes)
        found = list(iter(lambda: blocks.file.read(5), b""))  # noqa: B023 - read at once
        assert b"".join(found) == blocks.store.data
        assert blocks.file.tell() == size_bytes
        assert [len(data) for data in found[:2]] == [5, 3], "within one block"
        # Each block once, none behind the end, and none longer than the file.
        ends = [min(start + 8, size_bytes) for start in range(0, size_bytes, 8)]
        assert [start + count for start, count in blocks.store.reads] == ends
        assert blocks.file.read(5) == b""
        assert len(blocks.store.reads) == len(ends)


@pytest.mark.parametrize(
    ("offset", "whence", "place"),
    [(3, io.SEEK_SET, 3), (3, io.SEEK_CUR, 8), (-3, io.SEEK_CUR, 2), (-3, io.SEEK_END, 17),
     (3, io.SEEK_END, 23), (-9, io.SEEK_CUR, 0)],
)  # fmt: skip
def test_a_file_of_blocks_seeks_like_any_other(
    monkeypatch: pytest.MonkeyPatch, offset: int, whence: int, place: int
) -> None:
    file = Blocks(monkeypatch).file
    file.read(5)
    assert file.seek(offset, whence) == file.tell() == place
    assert file.read(1) == bytes(range(20))[place : place + 1]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_video_without_packets_has_no_frames_or_was_cut_off(
    monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    end = SimpleNamespace(size=0)  # the demuxer's last packet
    container = SimpleNamespace(demux=lambda _: [end])
    asked = []

    def opened(_: object, *, will_decode: bool) -> Any:
        asked.append(will_decode)
        return nullcontext(container)

    def check(_: object) -> None:
        if not is_whole:
            raise CorruptMediaError("It was cut off.")

    monkeypatch.setattr(probing, "open_video", opened)
    monkeypatch.setattr(probing, "check_video", lambda *_, **__: (None, MP4_FACTS))
    monkeypatch.setattr(probing, "check_whole", check)
    expected = (NoFramesError, "has no frames") if is_whole else (CorruptMediaError, "was cut off")
    with pytest.raises(expected[0], match=expected[1]):
        probe(mp4())
    assert asked == [False], "a probe decodes no picture"


def fake_stream(codec: str | None) -> Any:
    known = None if codec is None else SimpleNamespace(codec=SimpleNamespace(canonical_name=codec))
    return SimpleNamespace(codec_context=known, disposition=0, discard=None)


class Streams(list[Any]):
    """The streams of a container, whose first is the best of its kind."""

    @property
    def video(self) -> list[Any]:
        return list(self)

    def best(self, kind: str) -> Any:
        return self[0] if self else None


@pytest.mark.parametrize(
    ("codecs", "error", "words"),
    [
        ([], NoFramesError, "has no streams"),
        (["rv40"], UnsupportedCodecError, "codec is rv40. Convert the video to H.264"),
        ([None], UnsupportedCodecError, "codec is unknown"),
    ],
)
def test_a_file_that_cannot_be_shown_says_why(
    codecs: list[str | None], error: type[Exception], words: str
) -> None:
    container: Any = SimpleNamespace(streams=Streams(map(fake_stream, codecs)))
    with pytest.raises(error, match=words):
        videos.check_video(container, max_pixels=1, max_duration_s=1.0)


def test_other_streams_are_left_out_by_the_demuxer() -> None:
    container: Any = SimpleNamespace(streams=Streams(map(fake_stream, ("h264", "vp9", "aac"))))
    chosen = videos._video_stream(container)
    assert chosen is container.streams[0]
    assert [each.discard for each in container.streams] == [None, Discard.all, Discard.all]


@pytest.mark.parametrize("duration_s", [2.0, 2.01])
def test_as_long_as_the_limit_is_accepted(duration_s: float) -> None:
    with nullcontext() if duration_s <= 2 else pytest.raises(TooLongError, match="limit is 2 s"):
        videos.check_duration(duration_s, 2.0)


@pytest.mark.parametrize(
    ("of_stream", "of_file_us", "expected"),
    [((500, Fraction(1, 100)), 9_000_000, 5.0), ((None, Fraction(1, 100)), 9_000_000, 9.0),
     ((500, None), 9_000_000, 9.0), ((None, None), None, None), ((0, Fraction(1)), None, 0.0)],
)  # fmt: skip
def test_the_duration_is_that_of_the_stream_or_else_of_the_file(
    of_stream: tuple[int | None, Fraction | None], of_file_us: int | None, expected: float | None
) -> None:
    stream: Any = SimpleNamespace(duration=of_stream[0], time_base=of_stream[1])
    assert videos._duration_s(cast("Any", SimpleNamespace(duration=of_file_us)), stream) == expected


def declared(
    monkeypatch: pytest.MonkeyPatch, duration_s: float | None, aspect: Fraction | None = None
) -> VideoFacts:
    """Check a video of 8 x 8 pixels, at most 100 and 2 s long."""
    codec = SimpleNamespace(width=8, height=8, codec=SimpleNamespace(canonical_name="ffv1"))
    stream = SimpleNamespace(codec_context=codec, sample_aspect_ratio=aspect)
    container: Any = SimpleNamespace(format=SimpleNamespace(name="matroska"))
    monkeypatch.setattr(videos, "_video_stream", lambda _: stream)
    monkeypatch.setattr(videos, "_duration_s", lambda *_: duration_s)
    return videos.check_video(container, max_pixels=100, max_duration_s=2.0)[1]


@pytest.mark.parametrize("duration_s", [0.0, -1.0])
def test_a_video_of_no_time_has_no_frames(
    monkeypatch: pytest.MonkeyPatch, duration_s: float
) -> None:
    with pytest.raises(NoFramesError, match="lasts zero seconds"):
        declared(monkeypatch, duration_s)


def test_a_video_may_leave_open_how_long_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert declared(monkeypatch, None).duration_s is None
    assert declared(monkeypatch, 0.1).duration_s == 0.1
    with pytest.raises(TooLongError):
        declared(monkeypatch, 2.1)


def test_pixels_are_counted_as_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert declared(monkeypatch, 1.0, Fraction(3, 2)).width == 8
    for aspect in (Fraction(2), Fraction(1, 2)):
        with pytest.raises(TooManyPixelsError):
            declared(monkeypatch, 1.0, aspect)


@pytest.mark.parametrize(
    ("error", "told", "words"),
    [
        (av.BlockingIOError(11, "busy"), MemoryError, "no memory for a thread"),
        (MemoryError("full"), MemoryError, "full"),
        (av.EOFError(1, "end"), NoFramesError, "ends before its first frame"),
        (av.InvalidDataError(1, "Invalid data"), CorruptMediaError, "decode: Invalid data."),
    ],
)
def test_errors_of_ffmpeg_say_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[Exception], words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(videos.av, "open", fail)  # type: ignore[attr-defined]
    with pytest.raises(told, match=words), videos.open_video(Path("v"), will_decode=False):
        pass


@pytest.mark.parametrize(("will_decode", "skipped"), [(True, "default"), (False, "all")])
def test_headers_alone_are_read_unless_it_will_be_decoded(
    monkeypatch: pytest.MonkeyPatch, will_decode: bool, skipped: str
) -> None:
    asked: dict[str, Any] = {}

    def opened(*_: object, **given: Any) -> Any:
        asked.update(given["options"])
        return nullcontext()

    monkeypatch.setattr(videos.av, "open", opened)  # type: ignore[attr-defined]
    with videos.open_video(Path("v"), will_decode=will_decode):
        pass
    assert asked["skip_frame"] == skipped
    assert asked["protocol_whitelist"] == "file"
