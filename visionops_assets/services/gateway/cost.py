"""Guesses from an image's header how much CPU time its prediction will take."""

from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision.headers import ImageFormat, image_format, image_size

BASE_S = 0.004
"""Of a small image, its network and its record included."""
NS_PER_PIXEL = {
    ImageFormat.JPEG: 3,
    ImageFormat.PNG: 22,
    ImageFormat.WEBP: 5,
    ImageFormat.GIF: 15,
    ImageFormat.BMP: 2,
    ImageFormat.TIFF: 55,
}
"""Decoding by OpenCV on one core of a server, of the worst contents that were tried."""
NS_PER_PIXEL_OF_DEEP_PNG = 56
NS_PER_BYTE = {ImageFormat.JPEG: 20, ImageFormat.WEBP: 80}
"""Where the time depends on what there is to unpack, more than on the pixels."""
PNG_DEPTH_OFFSET, DEEP = 24, 16


def predicted_cost_s(head: bytes, total_bytes: int, max_pixels: int) -> float:
    """Return the CPU time in seconds of an image, by its first bytes and its length.

    It tells small from large, and is not exact: a factor of 2 either way is usual. An image whose
    size is not in its first bytes counts as the largest that is allowed.

    Raises:
        UnsupportedMediaError: it is not of an accepted image format.
    """
    try:
        width, height = image_size(head)
    except CorruptMediaError:
        width, height = max_pixels, 1
    found = image_format(head) or ImageFormat.TIFF
    ns_per_pixel = NS_PER_PIXEL.get(found, NS_PER_PIXEL[ImageFormat.TIFF])
    if found is ImageFormat.PNG and head[PNG_DEPTH_OFFSET : PNG_DEPTH_OFFSET + 1] == bytes([DEEP]):
        ns_per_pixel = NS_PER_PIXEL_OF_DEEP_PNG
    return BASE_S + (width * height * ns_per_pixel + total_bytes * NS_PER_BYTE.get(found, 0)) / 1e9
