"""Decodes an image: the only path for frames, training and serving.

It must stay importable inside Triton's environment: numpy and OpenCV only. Any image becomes 8-bit
RGB, like this:

============================  =====================================================================
in the file                   in the frame
============================  =====================================================================
gray, palette, 1 bit          the same colour as RGB
16 bits per sample            the upper 8 bits (PNG, gray TIFF); v / 257, rounded (colour TIFF)
32 bits, floats, signed       none: refused as unsupported_encoding, for their range is not known
transparency                  dropped; what was under it shows in its stored colour
colours multiplied by alpha   divided by it (TIFF); black where it is 0
CMYK, and YCCK in JPEG        (255 - C)(255 - K) / 255 within 2 levels; JPEG inverted, as by Adobe
CIE Lab in TIFF               sRGB, by littlecms
GIF, WebP, APNG, TIFF pages   the first picture, of an APNG the first of its animation
a GIF beyond its canvas       the canvas grows
EXIF, XMP, TIFF orientation   turned upright, once
ICC profile                   converted to sRGB (`icc.py`), unless the spec says that it is ignored;
                              profiles by lookup tables, of inks, and in GIF and BMP are ignored
gamma and cICP of PNG, nclx   ignored
============================  =====================================================================

Codings that OpenCV does not know are left to a second decoder where there is one: in the sandbox.
"""

import struct
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts.preprocessing import ColourProfile
from visionops_assets.errors import CorruptMediaError, EmptyMediaError
from visionops_assets.vision.chunks import is_whole_png
from visionops_assets.vision.codings import foreign_coding, refusal
from visionops_assets.vision.gif import plain_gif
from visionops_assets.vision.headers import ImageFormat, check_pixels, image_format, image_size
from visionops_assets.vision.icc import to_srgb
from visionops_assets.vision.orientation import orientation_of, upright
from visionops_assets.vision.profiles import embedded_profile
from visionops_assets.vision.tiff import without_alpha_in_tiff

Pixels = npt.NDArray[np.uint8]
SecondDecoder = Callable[[bytes, ImageFormat], tuple[Pixels, bytes | None]]
"""Decodes an image to uint8 (height, width, 3) RGB, upright; gives its ICC profile beside it."""

# These flags are the scale bit alone, to which IMREAD_COLOR_RGB is added.
REDUCED_READS = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
TURNED_HERE = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.TIFF})


def decode_image(
    data: bytes,
    needed_px: float,
    *,
    max_pixels: int,
    profile: ColourProfile = "to_srgb",
    second_decoder: SecondDecoder | None = None,
) -> Pixels:
    """Decode one encoded image, by the table above.

    A JPEG whose shorter side has many more than `needed_px` is reduced while it is decoded.

    Returns:
        uint8 of shape (height, width, 3), RGB.

    Raises:
        EmptyMediaError: there are no bytes.
        UnsupportedMediaError: the image format is not accepted.
        UnsupportedEncodingError: its coding is not decoded, or by the second decoder alone.
        TooManyPixelsError: the header declares more than `max_pixels`; nothing was decoded.
        CorruptMediaError: truncated or damaged.
    """
    if not data:
        raise EmptyMediaError("The image is empty.")
    width, height = image_size(data)
    check_pixels(width, height, max_pixels)
    found = image_format(data) or ImageFormat.TIFF
    try:
        coding = foreign_coding(data, found)
    except (IndexError, struct.error):
        raise CorruptMediaError(f"The {found.name} header ends early. Upload it again.") from None
    if coding is None:
        pixels = _by_opencv(data, found, _reduction(min(width, height), needed_px))
        embedded = embedded_profile(data, found)
    elif second_decoder is None or not coding.has_second_decoder:
        raise refusal(coding)
    else:
        pixels, embedded = second_decoder(data, found)
    return pixels if embedded is None or profile == "ignored" else to_srgb(pixels, embedded)


def picture_size(data: bytes, pixels: Pixels) -> tuple[int, int]:
    """Return width and height of the upright picture that `decode_image` decoded to `pixels`.

    A JPEG may have been reduced: its header has the size, and the pixels say which side is longer.
    """
    height, width = pixels.shape[:2]
    if image_format(data) is not ImageFormat.JPEG:
        return width, height
    declared = image_size(data)
    is_turned = (declared[0] > declared[1]) != (width > height)
    return (declared[1], declared[0]) if is_turned else declared


def _by_opencv(data: bytes, found: ImageFormat, reduction: int) -> Pixels:
    flags = cv2.IMREAD_COLOR_RGB
    match found:
        case ImageFormat.JPEG:
            flags |= reduction
        # OpenCV stops at the first picture, and takes the memory that a chunk says it needs.
        case ImageFormat.PNG if not is_whole_png(data):
            raise CorruptMediaError("The PNG was cut off. Upload it again.")
        case ImageFormat.GIF:
            data = plain_gif(data)
        case ImageFormat.TIFF:
            data = without_alpha_in_tiff(data)
    if found is not ImageFormat.TIFF:  # its own field is left to libtiff
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels = decode_by_opencv(data, flags)
    return upright(pixels, orientation_of(data, found)) if found in TURNED_HERE else pixels


def _reduction(shorter_side_px: int, needed_px: float) -> int:
    """Let libjpeg scale by 2, 4 or 8 while it decodes, as long as no detail of the frame is lost.

    Two to three times as fast as a full decode for large photographs.
    """
    for factor, flag in REDUCED_READS.items():
        if shorter_side_px // factor >= needed_px:
            return flag
    return 0


def decode_by_opencv(data: bytes, flags: int) -> Pixels:
    """Decode by OpenCV alone.

    Raises:
        CorruptMediaError: truncated or damaged.
        MemoryError: there is no memory for the pixels.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError("OpenCV has no memory for the pixels") from error
        raise CorruptMediaError("The image does not decode.") from error
    if pixels is None:
        raise CorruptMediaError("The image is truncated or damaged. Upload it again.")
    return np.asarray(pixels, np.uint8)
