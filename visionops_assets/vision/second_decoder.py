"""Decodes by Pillow what OpenCV does not know. Runs inside the sandbox only.

Where both know a coding, they agree: exactly for codings without loss, within 2 levels of 255 else.
"""

import io
import warnings

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from visionops_assets.errors import CorruptMediaError, UnsupportedEncodingError
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.images import Pixels
from visionops_assets.vision.tiff import Tag, tiff_numbers


def decode_by_pillow(data: bytes, found: ImageFormat) -> Pixels:
    """Decode one image whose size was checked; see `SecondDecoder`.

    Raises:
        CorruptMediaError: truncated or damaged.
        UnsupportedEncodingError: Pillow does not know this coding either.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None  # ours was checked
        try:
            with Image.open(io.BytesIO(data), formats=[found.name]) as image:
                image.load()
                return _as_rgb(image, data)
        except UnidentifiedImageError:
            raise UnsupportedEncodingError(
                f"This coding of {found.name} is not decoded here. Convert the file to PNG or JPEG."
            ) from None
        except (MemoryError, CorruptMediaError):
            raise
        except Exception as error:  # whatever a decoder throws, this file is its cause
            raise CorruptMediaError(
                "The image is truncated or damaged. Upload it again."
            ) from error


def _as_rgb(image: Image.Image, data: bytes) -> Pixels:
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    elif image.mode.startswith("I;16"):
        (depth, *_) = tiff_numbers(data, {Tag.BITS_PER_SAMPLE})[Tag.BITS_PER_SAMPLE]
        upper = (np.asarray(image) >> (depth - 8)).astype(np.uint8)
        image = Image.fromarray(upper)
    return np.array(image.convert("RGB"), np.uint8)
