"""Decodes untrusted files in a child process, within limits on time, memory and files.

A fresh interpreter, never a fork: the caller may have threads, and its memory may hold secrets.
"""

import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import DecoderCrashedError, MediaError
from visionops_assets.vision.sandbox_messages import (
    REPLY,
    DecodeRequest,
    DoneReply,
    ErrorReply,
    FrameReply,
    Limits,
    ReadyReply,
    Reply,
    encode_message,
    read_message,
)

CHILD_MODULE = "visionops_assets.vision.sandbox_child"
START_TIMEOUT_S = 60.0
# Nothing of the caller's environment: it holds keys, and a decoder needs none of it.
CHILD_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "OFF"}
READ_BYTES = 1 << 16
PNG_OVERHEAD_BYTES = 1 << 16
MEDIA_ERRORS = {error.code: error for error in MediaError.__subclasses__()}


@dataclass(frozen=True)
class EncodedFrame:
    """One preprocessed frame as PNG; `time_s` from the start of the video, 0 in an image."""

    index: int
    time_s: float
    png: bytes
    perceptual_hash: str


class DecoderSandbox:
    """A context manager around one long-lived child, replaced when a file brings it down.

    Args:
        timeout_s: wall clock for one file.
        memory_bytes: address space of the child; some 400 MB of it are its libraries.
        max_pixels: most pixels of one picture.
    """

    def __init__(self, timeout_s: float, memory_bytes: int, max_pixels: int) -> None:
        self._limits = Limits(timeout_s=timeout_s, memory_bytes=memory_bytes, max_pixels=max_pixels)
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        self._child = _Child(self._limits)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._discard_child()

    def decode(self, path: Path, kind: MediaKind, spec: PreprocessingSpec) -> list[EncodedFrame]:
        """Decode one file; see `decode_media` for what comes out.

        Raises:
            DecoderCrashedError: the child died, hung or ran out of memory on this file.
            MediaError: its other subclasses say why the file cannot be used.
            RuntimeError: the child cannot be started at all; no file is to blame.
        """
        if self._child is None or not self._child.is_alive():
            self._discard_child()
            self._child = _Child(self._limits)
        try:
            return self._child.decode(DecodeRequest(path=str(path.resolve()), kind=kind, spec=spec))
        except MediaError as error:
            if isinstance(error, DecoderCrashedError):
                self._discard_child()
            raise
        except BaseException:
            # Interrupted half way: the rest of this file's frames must not answer for the next.
            self._discard_child()
            raise

    def _discard_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


class _Child:
    """One child process and the pipes to it."""

    def __init__(self, limits: Limits) -> None:
        self._timeout_s = limits.timeout_s
        self._deadline_s = time.monotonic() + START_TIMEOUT_S
        self._is_ready = False
        self._unread = bytearray()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", CHILD_MODULE, limits.model_dump_json()],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=CHILD_ENVIRONMENT,
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        """Whether it can take another file."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, whatever it does, and close the pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def decode(self, request: DecodeRequest) -> list[EncodedFrame]:
        """Send one file and collect its frames."""
        self._await_ready()
        self._deadline_s = time.monotonic() + self._timeout_s
        try:
            self._send(encode_message(request))
            return self._collect(request.spec)
        except TimeoutError:
            problem = f"ran past {self._timeout_s:g} s"
        except (EOFError, BrokenPipeError):
            problem = f"died (exit status {self._process.wait()})"
        except ValueError as error:
            problem = f"sent what is no reply ({type(error).__name__})"
        raise DecoderCrashedError(f"The decoder {problem} on this file.")

    def _await_ready(self) -> None:
        """Wait for the end of its imports, the first time."""
        if self._is_ready:
            return
        try:
            self._is_ready = isinstance(self._receive(0)[0], ReadyReply)
        except (EOFError, TimeoutError, ValueError):
            raise RuntimeError(
                f"The decoder process ({sys.executable} -m {CHILD_MODULE}) does not start. Its "
                "libraries need some 400 MB of its memory limit."
            ) from None

    def _collect(self, spec: PreprocessingSpec) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        while True:
            reply, png = self._receive(3 * spec.size_px**2 + PNG_OVERHEAD_BYTES)
            match reply:
                case FrameReply():
                    frame = EncodedFrame(reply.index, reply.time_s, png, reply.perceptual_hash)
                    frames.append(frame)
                case DoneReply():
                    return frames
                case ErrorReply():
                    raise MEDIA_ERRORS.get(reply.code, DecoderCrashedError)(reply.message)
                case _:
                    raise ValueError("a reply out of turn")

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe above
        self._process.stdin.write(message)

    def _receive(self, max_body_bytes: int) -> tuple[Reply, bytes]:
        header, body = read_message(self._read_exactly, max_body_bytes=max_body_bytes)
        return REPLY.validate_json(header), body

    def _read_exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._unread += self._read_some()
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    def _read_some(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe above
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        if not poll.poll(max(0.0, self._deadline_s - time.monotonic()) * 1_000):
            raise TimeoutError
        data = self._process.stdout.read(READ_BYTES)
        if not data:
            raise EOFError
        return data
