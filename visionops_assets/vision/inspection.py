"""Inspects a media file before decoding. Pure Python: ingest imports this module.

An image is inspected in process, by its header alone. A video is probed in the sandbox
(`DecoderSandbox.probe`), because only FFmpeg reads all those containers.
"""

import struct

from pydantic import Field

from visionops_assets.contracts import Record
from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.codings import foreign_coding, refusal
from visionops_assets.vision.headers import ImageFormat, check_pixels, image_format, image_size


class VideoFacts(Record):
    """The properties that a video declares: pixels before rotation, FFmpeg's names for the rest."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    duration_s: float | None = Field(gt=0)
    """As declared; None if the container does not say, as for live recordings."""
    codec: str
    container: str


def check_image_header(head: bytes, *, max_pixels: int, has_second_decoder: bool = False) -> None:
    """Refuse an image of too many pixels or of a coding not decoded, by its file's first bytes.

    `has_second_decoder` says whether it will be decoded in the sandbox.

    A damaged header, or one that ends beyond `head`, passes: the decoder will say what is wrong. It
    takes microseconds, and at most a few milliseconds per megabyte of hostile bytes.

    Raises:
        TooManyPixelsError: the header declares more than `max_pixels`; nothing was decoded.
        UnsupportedMediaError: the image format is not accepted.
        UnsupportedEncodingError: the image is of a coding that will not be decoded.
    """
    try:
        width, height = image_size(head)
        check_pixels(width, height, max_pixels)
        coding = foreign_coding(head, image_format(head) or ImageFormat.TIFF)
    except (CorruptMediaError, IndexError, struct.error):
        return
    if coding is not None and not (coding.has_second_decoder and has_second_decoder):
        raise refusal(coding)
