"""Packets that give no picture: their times go with them, and an index may know better."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision import decoding
from visionops_assets.vision.decoding import _codec_options, _indexed_packets, _sound_frames

INVALID = av.InvalidDataError(1, "Invalid data")


class Times:
    """Notes what is sent, forgotten and shown."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def send(self, packet: Any) -> None:
        self.log.append(f"sent {packet.name}")

    def forget(self) -> None:
        self.log.append("forgot")

    def show(self, frame: Any) -> float:
        self.log.append(f"shown {frame.name}")
        return float(len(self.log))


def packet(name: str, *frames: str, fails: bool = False, is_corrupt: bool = False) -> Any:
    """Return a packet of frames; a name that ends in `!` is that of a corrupt frame."""

    def decode() -> list[Any]:
        if fails:
            raise INVALID
        return [SimpleNamespace(name=each, is_corrupt=each.endswith("!")) for each in frames]

    return SimpleNamespace(name=name, size=len(name), decode=decode, is_corrupt=is_corrupt)


def play(*packets: Any, container: str = "mpegts", indexed: Sequence[int] = ()) -> list[str]:
    times = Times()
    source = SimpleNamespace(demux=lambda _: iter(packets), format=SimpleNamespace(name=container))
    stream = SimpleNamespace(index_entries=[SimpleNamespace(size=size) for size in indexed])
    for _ in _sound_frames(cast("Any", source), cast("Any", stream), cast("Any", times)):
        pass
    return times.log


@pytest.mark.parametrize("container", ["mpegts", "mpeg"])
def test_what_refers_to_packets_before_the_file_is_left_out(container: str) -> None:
    """Until the first whole frame; their times go with them."""
    log = play(
        packet("a", fails=True),
        packet("b", "b!", is_corrupt=True),
        packet("c", is_corrupt=True),
        packet("d", "d"),
        container=container,
    )
    assert log == ["sent a", "forgot", "sent b", "forgot", "sent c", "sent d", "shown d"]


@pytest.mark.parametrize("container", ["mov,mp4,m4a,3gp,3g2,mj2", "avi", "matroska,webm"])
def test_packets_that_the_index_names_must_be_there(container: str) -> None:
    """An empty one is no packet, nor is the demuxer's last; Matroska lists key frames alone."""
    packets = [packet("a", "a"), packet("b", "b"), packet("")]
    play(*packets, container=container, indexed=[9, 0, 9, 0])
    if container == "matroska,webm":
        play(*packets, container=container, indexed=[9, 9, 9])
        return
    with pytest.raises(CorruptMediaError, match="Some packets of the video are missing"):
        play(*packets, container=container, indexed=[9, 9, 1])


def test_an_index_of_key_frames_counts_nothing() -> None:
    stream: Any = SimpleNamespace(index_entries=[SimpleNamespace(size=5)])
    for name, count in (("avi", 1), ("matroska,webm", 0)):
        container: Any = SimpleNamespace(format=SimpleNamespace(name=name))
        assert _indexed_packets(container, stream) == count


@pytest.mark.parametrize(("codec", "fails"), [("mjpeg", True), ("hevc", True), ("h264", False)])
def test_decoders_that_mend_silently_are_told_to_fail(codec: str, fails: bool) -> None:
    stream: Any = SimpleNamespace(
        codec_context=SimpleNamespace(codec=SimpleNamespace(canonical_name=codec))
    )
    options = _codec_options(stream, 1_000)
    assert ("err_detect" in options) == fails
    # Of FFmpeg's limit on a side, 65,536, with 128 pixels of padding: 16.8 million pixels.
    assert int(options["max_pixels"]) == 1_000 + 128 * (2 * 65_536 + 128)


def test_the_most_frames_of_a_file_are_five_hours_of_one_per_second() -> None:
    assert decoding.MAX_FRAMES >= 5 * 3_600 > decoding.MAX_FRAMES / 2
