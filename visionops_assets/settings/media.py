"""Limits and patience on the way from a file to its frames."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class MediaSettings(BaseSettings):
    """Uploads, batches, frames."""

    max_upload_bytes: int = Field(2 * 1024**3, gt=0)
    max_predicted_image_bytes: int = Field(
        32 * 1024**2, gt=0, description="An image to predict is held in memory."
    )
    max_image_pixels: int = Field(50_000_000, gt=0, description="Of an image, or of one picture.")
    max_video_duration_s: float = Field(18_000.0, gt=0)
    decode_timeout_s: float = Field(60.0, gt=0, description="Wall clock for decoding one file.")
    decode_memory_bytes: int = Field(2 * 1024**3, gt=0, description="Address space of the decoder.")
    upload_lease_s: float = Field(
        300.0, gt=0, description="An upload that is not renewed for so long is given up."
    )
    body_idle_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for the next bytes of a request."
    )
    resumable_expiry_s: float = Field(
        86_400.0, gt=0, description="A resumable upload is kept so long after its last bytes."
    )
    idempotency_expiry_s: float = Field(86_400.0, gt=0)
    sweep_interval_s: float = Field(30.0, gt=0)
    announce_again_after_s: float = Field(
        3_600.0,
        gt=0,
        description="Media whose event was published so long ago, and never taken from the queue, "
        "are announced again.",
    )
    batch_max_messages: int = Field(1_000, gt=0)
    batch_max_wait_s: float = Field(30.0, ge=0)
    batches_kept: int = Field(
        20_000,
        gt=0,
        description="Batches that stay partitions of Dagster, whose UI slows past some 25,000: "
        "older ones go once they are finished. The catalog keeps all.",
    )
    frame_size_px: int = Field(64, ge=8)
    frame_colour: Literal["rgb", "gray"] = "rgb"
    frame_resize: Literal["stretch", "letterbox"] = "stretch"
    video_sample_interval_s: float = Field(1.0, gt=0)
    shard_max_bytes: int = Field(64 * 1024**2, gt=0)
