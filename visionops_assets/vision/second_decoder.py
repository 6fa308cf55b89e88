"""Decodes by Pillow, and by libheif, what OpenCV does not know. Runs inside the sandbox only.

Where both know a coding, they agree: exactly for codings without loss, within 2 levels of 255 else.
"""

import io
import re
import warnings

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from visionops_assets.errors import CorruptMediaError, UnsupportedEncodingError
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.images import Pixels
from visionops_assets.vision.orientation import upright
from visionops_assets.vision.tiff import Tag, tiff_numbers

PILLOW_NAMES = {ImageFormat.PNM: "PPM"}
# Their orientation is in boxes, which Pillow gives as if it were EXIF's. Pillow turns TIFF itself.
TURNED_HERE = frozenset({ImageFormat.AVIF})
DECODER_THREADS = 2
# libheif and libavif; by "memory" libheif means damage, too, that asks for more than there can be.
NO_MEMORY = re.compile(r"allocating \d+ bytes failed|out of memory", re.IGNORECASE)


def decode_by_pillow(data: bytes, found: ImageFormat) -> tuple[Pixels, bytes | None]:
    """Decode one image whose size was checked; see `SecondDecoder`.

    Raises:
        CorruptMediaError: truncated or damaged.
        UnsupportedEncodingError: Pillow does not know this coding either.
        MemoryError: there is no memory for the pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None  # ours was checked
        try:
            image, profile = _opened(data, found)
            pixels = _as_rgb(image, data, found)
            turn = image.getexif().get(Tag.ORIENTATION, 1) if found in TURNED_HERE else 1
        except (ImportError, MemoryError, CorruptMediaError, UnsupportedEncodingError):
            raise
        except Exception as error:  # whatever a decoder throws, this file is its cause
            if NO_MEMORY.search(str(error)):
                raise MemoryError(str(error)) from error
            raise CorruptMediaError(
                "The image is truncated or damaged. Upload it again."
            ) from error
    return upright(pixels, turn), profile


def _opened(data: bytes, found: ImageFormat) -> tuple[Image.Image, bytes | None]:
    """Decode, and return the ICC profile beside it; one of CIE Lab is done with."""
    if found is ImageFormat.HEIC:
        return _opened_heic(data)
    try:
        image = Image.open(io.BytesIO(data), formats=[PILLOW_NAMES.get(found, found.name)])
    except UnidentifiedImageError:
        if found is not ImageFormat.TIFF:
            raise
        raise _unknown(found) from None
    image.load()
    return image, None if image.mode == "LAB" else image.info.get("icc_profile")


def _opened_heic(data: bytes) -> tuple[Image.Image, bytes | None]:
    """Decode the primary picture; libheif turns it."""
    import pi_heif  # noqa: PLC0415 - takes 40 ms, which no other file has to wait for

    pi_heif.options.DECODE_THREADS = DECODER_THREADS
    try:
        heif = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        return heif.to_pillow(), heif.info.get("icc_profile")
    except IndexError:  # no picture of a coding that it knows
        raise _unknown(ImageFormat.HEIC) from None


def _unknown(found: ImageFormat) -> UnsupportedEncodingError:
    return UnsupportedEncodingError(
        f"This coding of {found.name} is not decoded here. Convert the file to PNG or JPEG."
    )


def _as_rgb(image: Image.Image, data: bytes, found: ImageFormat) -> Pixels:
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    elif image.mode.startswith("I"):
        depth = 16
        if found is ImageFormat.TIFF:
            depth = tiff_numbers(data, {Tag.BITS_PER_SAMPLE})[Tag.BITS_PER_SAMPLE][0]
        image = Image.fromarray((np.asarray(image) >> (depth - 8)).astype(np.uint8))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
