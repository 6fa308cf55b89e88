"""Messages between the sandbox and its child: a JSON header and raw bytes, with lengths.

The child reads hostile files, so its messages are checked, and never unpickled.
"""

import struct
from collections.abc import Callable
from typing import IO, Annotated, Literal

from pydantic import Field, TypeAdapter

from visionops_assets.contracts import MediaKind, PreprocessingSpec, Record
from visionops_assets.vision.inspection import VideoFacts

LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 64 * 1024
# A probe asks for aligned blocks: most videos need a few, and no sound video needs all of these.
READ_BLOCK_BYTES = 256 * 1024
MAX_PROBE_BLOCKS = 256


class Limits(Record):
    """Limits of the child, and of a file's declarations: pixels of a picture, seconds.

    `threads` decode a video, beside the one that makes frames of it.
    """

    timeout_s: float
    memory_bytes: int
    max_pixels: int
    max_video_duration_s: float
    threads: int = 1


class DecodeRequest(Record):
    """Asks for files to be decoded, one after the other, each by all specs.

    The replies to each are its frames, then that it is done or why it cannot be used.
    """

    type: Literal["decode"] = "decode"
    paths: tuple[str, ...]
    kind: MediaKind
    specs: tuple[PreprocessingSpec, ...] = Field(min_length=1)


class ProbeRequest(Record):
    """Asks for one video to be probed; the child asks for its bytes."""

    type: Literal["probe"] = "probe"
    size_bytes: int = Field(ge=0)


class BytesRequest(Record):
    """Carries the bytes that a `ReadReply` asked for, in the message's body."""

    type: Literal["bytes"] = "bytes"


class ReadyReply(Record):
    """Says that the child has set its limits and can decode."""

    type: Literal["ready"] = "ready"


class FrameReply(Record):
    """Carries one frame; its bytes, as PNG or JPEG by the spec, are the message's body.

    `spec` is the place of its spec among those that were asked for.
    """

    type: Literal["frame"] = "frame"
    spec: int = Field(ge=0)
    index: int = Field(ge=0)
    time_s: float = Field(ge=0)
    perceptual_hash: str = Field(pattern=r"^[0-9a-f]{16}$")
    quality: tuple[float, float, float, float, float]
    """In the order of `FRAME_MEASURES`."""
    crop_hashes: str = Field(pattern=r"^([0-9a-f]{16}){0,64}$")
    """Those of `crop_hashes`, in hexadecimal."""


class ReadReply(Record):
    """Asks for bytes of the video that is being probed."""

    type: Literal["read"] = "read"
    offset: int = Field(ge=0)
    count: int = Field(gt=0, le=READ_BLOCK_BYTES)


class FactsReply(Record):
    """Says that the probed video can be used."""

    type: Literal["facts"] = "facts"
    facts: VideoFacts


class DoneReply(Record):
    """Says that all frames of the file were sent, and how long they took.

    `picture_px` is width and height of its upright picture.
    """

    type: Literal["done"] = "done"
    milliseconds: float = Field(ge=0)
    picture_px: tuple[int, int] | None = None


class ErrorReply(Record):
    """Says that the file cannot be used; `code` is that of a `MediaError`."""

    type: Literal["error"] = "error"
    code: str
    message: str = Field(max_length=1_000)
    milliseconds: float = Field(0.0, ge=0)


Request = DecodeRequest | ProbeRequest
REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="type")])
Reply = ReadyReply | FrameReply | ReadReply | FactsReply | DoneReply | ErrorReply
REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="type")])


class PipeReader:
    """Reads exact numbers of bytes from a child's pipe; `wait` returns once there are some."""

    def __init__(self, pipe: IO[bytes], wait: Callable[[], None], read_bytes: int) -> None:
        self._pipe = pipe
        self._wait = wait
        self._read_bytes = read_bytes
        self._unread = bytearray()

    def read_exactly(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            EOFError: the child closed the pipe too early.
        """
        while len(self._unread) < count:
            self._wait()
            data = self._pipe.read(self._read_bytes)
            if not data:
                raise EOFError
            self._unread += data
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


def encode_message(header: Record, body: bytes = b"") -> bytes:
    """Frame one message."""
    encoded = header.model_dump_json().encode()
    return LENGTHS.pack(len(encoded), len(body)) + encoded + body


def read_message(
    read_exactly: Callable[[int], bytes], *, max_body_bytes: int
) -> tuple[bytes, bytes]:
    """Read one message: its JSON header and its body.

    Raises:
        ValueError: it announces more bytes than a message may have.
    """
    header_bytes, body_bytes = LENGTHS.unpack(read_exactly(LENGTHS.size))
    if header_bytes > MAX_HEADER_BYTES or body_bytes > max_body_bytes:
        raise ValueError(f"A message of {header_bytes} + {body_bytes} bytes is too long.")
    return read_exactly(header_bytes), read_exactly(body_bytes)
