from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tests.vision.corpus import TWO_SECONDS, cut, mp4, video
from visionops_assets.errors import CorruptMediaError, TooLongError, TooManyPixelsError
from visionops_assets.vision import videos
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
