"""Settings of the way from a file to its frames: limits, waits and the spec."""

from typing import Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.preprocessing import ColourProfile, Filters, VideoSampling

FILTERS: TypeAdapter[Filters] = TypeAdapter(Filters)
SAMPLING: TypeAdapter[VideoSampling] = TypeAdapter(VideoSampling)

_Value = TypeVar("_Value")


DECODER_LIBRARIES_BYTES = 480 * 1024**2
BYTES_PER_PIXEL = 26
"""Measured peaks of the decoder, its frame and the file itself: 6 to 12 for JPEG, PNG and WebP, up
to 18 for TIFF, HEIC and TGA, 26 for JPEG 2000 with transparency."""


def pixels_within(memory_bytes: int) -> int:
    """Return how many pixels of any image a decoder with this much address space can hold."""
    return max(1, (memory_bytes - DECODER_LIBRARIES_BYTES) // BYTES_PER_PIXEL)


class MediaSettings(BaseSettings):
    """Uploads, batches, frames."""

    max_upload_bytes: int = Field(
        2 * 1024**3, gt=0, description="Largest file that ingest accepts."
    )
    max_predicted_image_bytes: int = Field(
        32 * 1024**2, gt=0, description="Largest image that is predicted; it is held in memory."
    )
    max_predicted_image_pixels: int = Field(
        16_000_000,
        gt=0,
        description="Most pixels of an image that is predicted: others wait while it is decoded.",
    )
    max_video_duration_s: float = Field(
        18_000.0, gt=0, description="Longest video that ingest accepts."
    )
    decode_timeout_s: float = Field(60.0, gt=0, description="Longest time for decoding one file.")
    decode_memory_bytes: int = Field(
        2 * 1024**3, gt=0, description="Memory (address space) that the decoder of a file may use."
    )
    max_image_pixels: int = Field(
        default_factory=lambda given: pixels_within(given["decode_memory_bytes"]),
        gt=0,
        description="Most pixels of an image, or of one picture of a video; by default as many as "
        "the decoder's memory holds: 63 million of 2 GiB.",
    )
    upload_lease_s: float = Field(
        300.0, gt=0, description="An upload whose lease was not renewed for this long is given up."
    )
    body_idle_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for the next bytes of a request."
    )
    resumable_expiry_s: float = Field(
        86_400.0,
        gt=0,
        description="Time for which a resumable upload is kept after its last bytes.",
    )
    resumable_min_part_bytes: int = Field(
        256 * 1024,
        gt=0,
        description="Fewest bytes of a request that goes on with a resumable upload, but for its "
        "last. Each part is an object and a row.",
    )
    resumable_max_open: int = Field(
        100, gt=0, description="Resumable uploads that one API key may have open at once."
    )
    resumable_max_open_bytes: int = Field(
        32 * 1024**3,
        gt=0,
        description="Bytes of the files that the open resumable uploads of one API key become.",
    )
    idempotency_expiry_s: float = Field(
        86_400.0, gt=0, description="Time for which an `Idempotency-Key` gets the same answer."
    )
    sweep_interval_s: float = Field(
        30.0,
        gt=0,
        description="Time between two passes of the sweep, which finishes or removes the remains "
        "of crashes.",
    )
    announce_again_after_s: float = Field(
        3_600.0,
        gt=0,
        description="Media are announced again when their event was published this long ago and "
        "was never taken from the queue.",
    )
    batch_max_messages: int = Field(
        4_000, gt=0, description="Media events per batch, at most. One run processes one batch."
    )
    batch_max_bytes: int = Field(
        2_000_000_000,
        gt=0,
        description="Size of the files of one batch, at most, unless one file is larger: a batch "
        "of videos must end in the time that a run has.",
    )
    batch_max_wait_s: float = Field(
        30.0, ge=0, description="Longest wait of a media event for its batch to fill."
    )
    batches_kept: int = Field(
        20_000,
        gt=0,
        description="Batches that stay partitions of Dagster, whose UI slows past some 25,000. "
        "Older ones leave once they are finished. The catalog keeps all.",
    )
    frame_size_px: int = Field(64, ge=8, description="Width and height of a frame.")
    frame_colour: Literal["rgb", "gray"] = Field(
        "rgb", description="Colours of a frame; gray for pictures whose colour says nothing."
    )
    frame_colour_profile: ColourProfile = Field(
        "to_srgb", description="Whether colours are converted to sRGB by an image's ICC profile."
    )
    frame_resize: Literal["stretch", "letterbox", "centre_crop"] = Field(
        "stretch",
        description="Whether a picture fills the frame, keeps its shape with bars, or is cut to "
        "its central square.",
    )
    frame_filters: str = Field(
        "",
        description="Filters of frames: a JSON list of `region`, `blur`, `denoise`, `clahe`, "
        "`sharpen` and `gamma` with their parameters, applied in this order.",
    )
    frame_jpeg_quality: int | None = Field(
        None, ge=50, le=100, description="Store frames as JPEG of this quality, not as PNG."
    )
    video_sample_interval_s: float = Field(
        1.0, gt=0, description="Time between two frames that are taken of a video."
    )
    video_sampling: str = Field(
        "",
        description="Instead of by time: a JSON object whose `by` is `every_nth`, `key_frames` or "
        "`scene_changes`.",
    )
    video_max_frames: int | None = Field(
        None,
        ge=1,
        le=20_000,
        description="Most frames that are taken of a video, evenly spread over it.",
    )
    video_deinterlace: bool = Field(
        True, description="Make whole pictures of a video's interlaced frames."
    )
    shard_max_bytes: int = Field(
        64 * 1024**2, gt=0, description="Largest archive that frames are packed into."
    )

    @field_validator("frame_filters")
    @classmethod
    def _lists_filters(cls, text: str) -> str:
        _read(FILTERS, text)
        return text

    @field_validator("video_sampling")
    @classmethod
    def _names_a_sampling(cls, text: str) -> str:
        _read(SAMPLING, text)
        return text

    @property
    def spec(self) -> PreprocessingSpec:
        """Return the spec of new frames and new snapshots."""
        return PreprocessingSpec(
            size_px=self.frame_size_px,
            colour=self.frame_colour,
            resize=self.frame_resize,
            video_sample_interval_s=self.video_sample_interval_s,
            filters=_read(FILTERS, self.frame_filters) or (),
            video_sampling=_read(SAMPLING, self.video_sampling),
            max_frames_per_video=self.video_max_frames,
            jpeg_quality=self.frame_jpeg_quality,
            deinterlace=self.video_deinterlace,
            colour_profile=self.frame_colour_profile,
        )


def _read(adapter: TypeAdapter[_Value], text: str) -> _Value | None:
    """Read JSON, nothing from an empty text.

    Raises:
        ValueError: it does not fit; the message says which place.
    """
    if not text:
        return None
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        said = [f"{place}: {what}" if place else what for place, what in found]
        raise ValueError("; ".join(said)) from None
