"""Messages of the camera service and its children: how to cut a stream, and the results.

Framed as in `sandbox/messages.py`. A child reads a hostile stream, so its messages are checked.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from visionops_assets.contracts import MediaKind, Record, TolerantRecord

# Largest clip or still. A clip ends before it would grow larger.
MAX_CUT_BYTES = 32 * 1024**2
MAX_CLIP_S = 300.0
# A clip begins at the key frame before its cause, at most this much earlier.
MAX_PREROLL_S = 60.0


class CutRules(TolerantRecord):
    """How a stream is cut.

    `every_s` is the time from the beginning of one clip or still to the next, `min_area` the share
    of the picture that must move.
    """

    mode: Literal["clip", "still"] = "clip"
    every_s: float = Field(10.0, ge=0.2, le=86_400)
    clip_s: float = Field(5.0, ge=0.2, le=MAX_CLIP_S)
    motion: bool = False
    min_area: float = Field(0.01, gt=0, lt=1)

    @model_validator(mode="after")
    def _clips_follow_each_other(self) -> Self:
        if self.mode == "clip" and self.clip_s > self.every_s:
            raise ValueError(
                f"a clip of {self.clip_s:g} s does not fit into every {self.every_s:g} s"
            )
        return self


class CaptureRequest(Record):
    """The only message to a child: the address, how to cut the stream, and the memory limit."""

    address: str
    rules: CutRules
    memory_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


class OpenedReply(Record):
    """Says that the stream is open."""

    type: Literal["opened"] = "opened"
    codec: str = Field(max_length=64)
    width_px: int
    height_px: int


class CutReply(Record):
    """Announces a finished clip or still, the message's body, which began `age_s` ago."""

    type: Literal["cut"] = "cut"
    kind: MediaKind
    age_s: float = Field(ge=0, le=2 * (MAX_CLIP_S + MAX_PREROLL_S))


class HeartbeatReply(Record):
    """Counts since the previous heartbeat, `interval_s` ago.

    Dropped frames came damaged, did not decode, or had no key frame before them.
    """

    type: Literal["heartbeat"] = "heartbeat"
    interval_s: float = Field(gt=0)
    frames: int = Field(ge=0, le=1_000_000)
    dropped_frames: int = Field(ge=0, le=1_000_000)


class EndedReply(Record):
    """Says that the stream ended or cannot be read. The child ends, too."""

    type: Literal["ended"] = "ended"
    reason: str = Field(max_length=300)


CaptureReply = OpenedReply | CutReply | HeartbeatReply | EndedReply
CAPTURE_REPLY: TypeAdapter[CaptureReply] = TypeAdapter(
    Annotated[CaptureReply, Field(discriminator="type")]
)
