"""Inspects a media file before decoding. Pure Python: ingest imports this module.

An image is inspected in process, by its header alone. A video is probed in the sandbox
(`DecoderSandbox.probe`), because only FFmpeg reads all those containers.
"""

from pydantic import Field

from visionops_assets.contracts import Record
from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.headers import check_pixels, image_size


class VideoFacts(Record):
    """The properties that a video declares: pixels before rotation, FFmpeg's names for the rest."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    duration_s: float | None = Field(gt=0, allow_inf_nan=False)
    """As declared; None if the container does not say, as for live recordings."""
    codec: str
    container: str


def check_image_header(head: bytes, *, max_pixels: int) -> None:
    """Refuse an image that declares too many pixels, by the first bytes of the file.

    A damaged header, or one that ends beyond `head`, passes: the decoder will say what is wrong. It
    takes microseconds, and at most a few milliseconds per megabyte of hostile bytes.

    Raises:
        TooManyPixelsError: the header declares more than `max_pixels`; nothing was decoded.
        UnsupportedMediaError: the image format is not accepted.
    """
    try:
        width, height = image_size(head)
    except CorruptMediaError:
        return
    check_pixels(width, height, max_pixels)
