"""Messages of the camera service and its children: how a stream is cut, and what came of it.

Framed as in `sandbox/messages.py`; a child reads a hostile stream, so it is not believed unchecked.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from visionops_assets.contracts import MediaKind, Record, TolerantRecord

# One clip or still. The clip ends earlier rather than grow larger.
MAX_CUT_BYTES = 32 * 1024**2
MAX_CLIP_S = 300.0
# A clip begins at the key frame before its cause, at most this long before it.
MAX_PREROLL_S = 60.0


class CutRules(TolerantRecord):
    """When a stream is cut and into what.

    `every_s` from the beginning of one clip or still to the next; `min_area` is the share of the
    picture that must move.
    """

    mode: Literal["clip", "still"] = "clip"
    every_s: float = Field(10.0, ge=0.2, le=86_400, allow_inf_nan=False)
    clip_s: float = Field(5.0, ge=0.2, le=MAX_CLIP_S, allow_inf_nan=False)
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
    """The one message to a child: what to read, how to cut it, and how much memory to use."""

    address: str
    rules: CutRules
    memory_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


class OpenedReply(Record):
    """The stream is there."""

    type: Literal["opened"] = "opened"
    codec: str = Field(max_length=64)
    width_px: int
    height_px: int


class CutReply(Record):
    """A finished clip or still, the body of the message; it began `age_s` ago."""

    type: Literal["cut"] = "cut"
    kind: MediaKind
    age_s: float = Field(ge=0, le=2 * (MAX_CLIP_S + MAX_PREROLL_S), allow_inf_nan=False)


class HeartbeatReply(Record):
    """Counts since the heartbeat before, `interval_s` ago.

    Dropped frames are those of the frames that came damaged, did not decode, or could not be
    used for want of a key frame before them.
    """

    type: Literal["heartbeat"] = "heartbeat"
    interval_s: float = Field(gt=0, allow_inf_nan=False)
    frames: int = Field(ge=0, le=1_000_000)
    dropped_frames: int = Field(ge=0, le=1_000_000)


class EndedReply(Record):
    """The stream ended or cannot be read; the child ends too."""

    type: Literal["ended"] = "ended"
    reason: str = Field(max_length=300)


CaptureReply = OpenedReply | CutReply | HeartbeatReply | EndedReply
CAPTURE_REPLY: TypeAdapter[CaptureReply] = TypeAdapter(
    Annotated[CaptureReply, Field(discriminator="type")]
)
