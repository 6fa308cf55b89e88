"""Reads untrusted files in a child process, within limits on time, memory and files.

The child is a fresh interpreter, never a fork: the caller may have threads, and secrets in memory.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import DecoderCrashedError, MediaError
from visionops_assets.vision.inspection import VideoFacts
from visionops_assets.vision.sandbox.messages import (
    MAX_PROBE_BLOCKS,
    BytesRequest,
    DecodeRequest,
    DoneReply,
    ErrorReply,
    FactsReply,
    FrameReply,
    Limits,
    ProbeRequest,
    ReadReply,
    Reply,
    encode_message,
)
from visionops_assets.vision.sandbox.process import ChildProcess

ENCODING_OVERHEAD_BYTES = 1 << 16
MEDIA_ERRORS = {error.code: error for error in MediaError.__subclasses__()}


@dataclass(frozen=True)
class EncodedFrame:
    """One frame as PNG or JPEG, by its spec; `time_s` from a video's start, 0 in an image.

    `spec` is the place of its spec among those that were asked for.
    """

    index: int
    time_s: float
    encoded: bytes
    perceptual_hash: str
    quality: tuple[float, ...]
    """In the order of `FRAME_MEASURES`."""
    crop_hashes: bytes
    spec: int = 0


@dataclass(frozen=True)
class DecodedFile:
    """The frames of one file, or why it cannot be used, and how long that took.

    `picture_px` is width and height of its upright picture.
    """

    frames: list[EncodedFrame]
    error: MediaError | None
    milliseconds: float
    picture_px: tuple[int, int] | None = None


class DecoderSandbox:
    """A context manager around one long-lived child, replaced when a file brings it down.

    For one thread: a child reads one file at a time.

    Args:
        timeout_s: wall clock for one file.
        memory_bytes: address space of the child; some 400 MB of it are its libraries.
        max_pixels: most pixels of one picture.
        max_video_duration_s: longest video.
        threads: those that decode one video.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        memory_bytes: int,
        max_pixels: int,
        max_video_duration_s: float,
        threads: int = 1,
    ) -> None:
        self._limits = Limits(
            timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            max_pixels=max_pixels,
            max_video_duration_s=max_video_duration_s,
            threads=threads,
        )
        self._child: ChildProcess | None = None

    def __enter__(self) -> Self:
        self._child = ChildProcess(self._limits)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._discard_child()

    def decode(self, path: Path, kind: MediaKind, spec: PreprocessingSpec) -> list[EncodedFrame]:
        """Decode one file; see `decode_media` for the result.

        Raises:
            DecoderCrashedError: the child died, hung or ran out of memory on this file.
            MediaError: another subclass says why the file cannot be used.
            RuntimeError: the child cannot be started at all; no file is to blame.
        """
        [result] = self.decode_each([path], kind, [spec])
        if result.error:
            raise result.error
        return result.frames

    def decode_each(
        self, paths: Sequence[Path], kind: MediaKind, specs: Sequence[PreprocessingSpec]
    ) -> list[DecodedFile]:
        """Decode files of one kind by all specs, and return the results in their order.

        They are one request: a message each would cost more than decoding, if they are small. If
        the child dies, the file at hand is to blame, and another child goes on with the next one.

        Raises:
            RuntimeError: the child cannot be started at all; no file is to blame.
        """
        results: list[DecodedFile] = []
        while len(results) < len(paths):
            self._decode_some(paths[len(results) :], kind, specs, results)
        return results

    def _decode_some(
        self,
        paths: Sequence[Path],
        kind: MediaKind,
        specs: Sequence[PreprocessingSpec],
        results: list[DecodedFile],
    ) -> None:
        """Decode files in one child, up to the first that brings it down; add the results."""
        started_s = time.monotonic()
        try:
            with self._child_for_one_file() as child:
                absolute = tuple(str(path.absolute()) for path in paths)
                request = DecodeRequest(paths=absolute, kind=kind, specs=tuple(specs))
                child.send(encode_message(request))
                for _ in paths:
                    started_s = time.monotonic()
                    child.begin_file()
                    results.append(_result(child, specs))
        except DecoderCrashedError as crash:
            lasted_ms = round(1_000 * (time.monotonic() - started_s), 2)
            results.append(DecodedFile([], crash, lasted_ms))

    def probe(self, read: Callable[[int, int], bytes], size_bytes: int) -> VideoFacts:
        """Read the declarations of a video without decoding it, or fetching more than needed.

        `read(offset, count)` is called here for each 256 KiB that the child asks for, at most 64
        MiB in all. Its errors are passed on, and its time counts towards the child's.

        Raises:
            NoVideoStreamError, NoFramesError, TooManyPixelsError, TooLongError,
            UnsupportedCodecError: the video can be refused; see `check_video`.
            CorruptMediaError: it does not open; decoding would say the same.
            DecoderCrashedError: the child died, hung or ran out of memory. If `read` is slow, the
                video may be sound.
            RuntimeError: the child cannot be started at all; no file is to blame.
        """
        with self._child_for_one_file() as child:
            child.send(encode_message(ProbeRequest(size_bytes=size_bytes)))
            for _ in range(MAX_PROBE_BLOCKS + 1):
                match _receive(child, 0)[0]:
                    case ReadReply(offset=offset, count=count):
                        data = read(offset, count)
                        child.send(encode_message(BytesRequest(), data[:count]))
                    case FactsReply(facts=facts):
                        return facts
                    case _:
                        break
            raise DecoderCrashedError("The decoder did not keep to the protocol on this file.")

    @contextmanager
    def _child_for_one_file(self) -> Iterator[ChildProcess]:
        """Lend a child that is ready; it is discarded when it may be in the middle of a file."""
        if self._child is None or not self._child.is_alive():
            self._discard_child()
            self._child = ChildProcess(self._limits)
        try:
            self._child.begin_file()
            yield self._child
        except MediaError as error:
            if isinstance(error, DecoderCrashedError):
                self._discard_child()
            raise
        except BaseException:
            # The remaining replies for this file must not count for the next one.
            self._discard_child()
            raise

    def _discard_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


def _result(child: ChildProcess, specs: Sequence[PreprocessingSpec]) -> DecodedFile:
    """Return the replies to one file: its frames, or why it cannot be used.

    Raises:
        DecoderCrashedError: the child is of no more use.
    """
    frames: list[EncodedFrame] = []
    most_bytes = max(3 * spec.size_px**2 for spec in specs) + ENCODING_OVERHEAD_BYTES
    while True:
        reply, encoded = child.receive(most_bytes)
        match reply:
            case FrameReply() if reply.spec < len(specs):
                frame = EncodedFrame(
                    *(reply.index, reply.time_s, encoded, reply.perceptual_hash, reply.quality),
                    *(bytes.fromhex(reply.crop_hashes), reply.spec),
                )
                frames.append(frame)
            case DoneReply():
                return DecodedFile(frames, None, reply.milliseconds, reply.picture_px)
            case ErrorReply():
                error = _error(reply)
                if isinstance(error, DecoderCrashedError):
                    raise error
                return DecodedFile([], error, reply.milliseconds)
            case _:
                raise DecoderCrashedError("The decoder did not keep to the protocol on this file.")


def _receive(child: ChildProcess, max_body_bytes: int) -> tuple[Reply, bytes]:
    """Wait for a reply; a failure is raised as the error that it stands for."""
    reply, body = child.receive(max_body_bytes)
    if isinstance(reply, ErrorReply):
        raise _error(reply)
    return reply, body


def _error(reply: ErrorReply) -> MediaError:
    return MEDIA_ERRORS.get(reply.code, DecoderCrashedError)(reply.message)
