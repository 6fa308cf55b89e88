"""Settings of the way from a file to its frames: limits and waits."""

from pydantic import Field
from pydantic_settings import BaseSettings

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
    frame_cache_bytes: int = Field(
        20 * 1024**3,
        gt=0,
        description="Disk that a run uses for the decoded frames of a snapshot, at most. Of more, "
        "those that were read first are read again.",
    )
    shard_max_bytes: int = Field(
        64 * 1024**2, gt=0, description="Largest archive that frames are packed into."
    )
