"""Probing through the sandbox: the child asks, the parent reads, and neither harms the other."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.vision.corpus import CASES, mp4
from tests.vision.test_sandbox import MAX_PIXELS, MEMORY_BYTES, SPEC, child_pid
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import DecoderCrashedError, MediaError
from visionops_assets.vision.sandbox.decoder import DecoderSandbox
from visionops_assets.vision.sandbox.messages import (
    MAX_PROBE_BLOCKS,
    DoneReply,
    FrameReply,
    ReadReply,
    ReadyReply,
    Reply,
)
from visionops_assets.vision.sandbox.process import ChildProcess


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecoderSandbox]:
    with DecoderSandbox(
        timeout_s=20, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=18_000
    ) as opened:
        yield opened


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, count: data[offset : offset + count]


def test_a_probe_gives_facts_or_the_error_of_the_file(sandbox: DecoderSandbox) -> None:
    facts = sandbox.probe(reader(mp4()), len(mp4()))
    assert (facts.width, facts.height, facts.duration_s, facts.codec) == (64, 48, 2.0, "h264")
    pid = child_pid(sandbox)
    for name in ("audio.mp4", "no-frames.mp4", "long.mkv", "codec.avi", "noise.mp4"):
        data = CASES[name].make()
        with pytest.raises(MediaError) as raised:
            sandbox.probe(reader(data), len(data))
        assert raised.value.code == CASES[name].code
    assert child_pid(sandbox) == pid


def test_a_store_that_fails_is_not_the_fault_of_the_file(
    sandbox: DecoderSandbox, tmp_path: Path
) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(CASES["palette.png"].make())
    for failure in (TimeoutError("store"), EOFError("store"), ValueError("store")):
        with pytest.raises(type(failure), match="store"):
            sandbox.probe(Mock(side_effect=failure), 1_000)
        assert len(sandbox.decode(picture, MediaKind.IMAGE, SPEC)) == 1


def test_a_probe_survives_its_child(sandbox: DecoderSandbox) -> None:
    def kill_child(offset: int, count: int) -> bytes:
        os.kill(child_pid(sandbox), signal.SIGKILL)
        return bytes(count)

    with pytest.raises(DecoderCrashedError, match="exit status -9"):
        sandbox.probe(kill_child, 10_000_000)
    assert sandbox.probe(reader(mp4()), len(mp4())).codec == "h264"


def test_a_child_that_hangs_keeps_nobody() -> None:
    with DecoderSandbox(
        timeout_s=1.0, memory_bytes=MEMORY_BYTES, max_pixels=MAX_PIXELS, max_video_duration_s=60
    ) as sandbox:
        sandbox.probe(reader(mp4()), len(mp4()))

        def stop_child(offset: int, count: int) -> bytes:
            os.kill(child_pid(sandbox), signal.SIGSTOP)
            return bytes(count)  # more than a pipe holds

        with pytest.raises(DecoderCrashedError, match="ran past 1 s"):
            sandbox.probe(stop_child, 10_000_000)
        assert sandbox.probe(reader(mp4()), len(mp4())).codec == "h264"


@pytest.mark.parametrize(
    "reply",
    [
        DoneReply(milliseconds=1),
        FrameReply(
            spec=0, index=0, time_s=0, perceptual_hash="0" * 16, quality=(0,) * 5, crop_hashes=""
        ),
        ReadyReply(),
    ],
)
def test_a_reply_out_of_turn_is_a_crash(
    sandbox: DecoderSandbox, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr(ChildProcess, "receive", lambda self, max_body_bytes: (reply, b""))
    monkeypatch.setattr(ChildProcess, "begin_file", lambda self: None)
    with pytest.raises(DecoderCrashedError, match="protocol"):
        sandbox.probe(reader(mp4()), len(mp4()))
    monkeypatch.undo()
    assert sandbox.probe(reader(mp4()), len(mp4())).codec == "h264"


def test_a_child_that_asks_without_end_is_stopped(
    sandbox: DecoderSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    reply = ReadReply(offset=0, count=1)
    monkeypatch.setattr(ChildProcess, "begin_file", lambda self: None)
    monkeypatch.setattr(ChildProcess, "send", lambda self, message: None)
    monkeypatch.setattr(ChildProcess, "receive", lambda self, max_body_bytes: (reply, b""))

    def read(offset: int, count: int) -> bytes:
        asked.append(offset)
        return b""

    with pytest.raises(DecoderCrashedError, match="protocol"):
        sandbox.probe(read, 10)
    assert len(asked) == MAX_PROBE_BLOCKS + 1
