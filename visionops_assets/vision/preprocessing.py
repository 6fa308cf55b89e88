"""Turns encoded images into frames and network input: the only path for all uses.

Frames stage, training and serving all import this module, so it must stay importable inside
Triton's environment: numpy and OpenCV only. Any image becomes 8-bit RGB, like this:

============================  =====================================================================
in the file                   in the frame
============================  =====================================================================
gray, palette, 1 bit          the same colour as RGB
16 bits per sample            the upper 8 bits (PNG, gray TIFF); v / 257, rounded (colour TIFF)
32 bits or floats per sample  none: refused as corrupt, for their range is not known
transparency                  dropped; what was under it shows in its stored colour
CMYK, and YCCK in JPEG        (255 - C)(255 - K) / 255 within 2 levels; JPEG inverted, as by Adobe
GIF, WebP, APNG, TIFF pages   the first picture, of an APNG the first of its animation
EXIF or TIFF orientation      turned upright, once
ICC profile, gamma            ignored
============================  =====================================================================
"""

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.errors import CorruptMediaError, EmptyMediaError
from visionops_assets.vision.headers import (
    ImageFormat,
    check_pixels,
    image_format,
    image_size,
    without_alpha_in_tiff,
)

Frame = npt.NDArray[np.uint8]

PNG_END = b"IEND\xae\x42\x60\x82"
# These flags are the scale bit alone, to which IMREAD_COLOR_RGB is added.
REDUCED_READS = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}


def preprocess_image(data: bytes, spec: PreprocessingSpec, *, max_pixels: int) -> Frame:
    """Decode one encoded image, by the table above, and fit it to the spec.

    Returns:
        uint8 of shape (spec.size_px, spec.size_px, 3), RGB.

    Raises:
        EmptyMediaError: there are no bytes.
        UnsupportedMediaError: the image format is not accepted.
        TooManyPixelsError: the header declares more than `max_pixels`; nothing was decoded.
        CorruptMediaError: truncated or damaged.
    """
    if not data:
        raise EmptyMediaError("The image is empty.")
    width, height = image_size(data)
    check_pixels(width, height, max_pixels)
    flags = cv2.IMREAD_COLOR_RGB
    match image_format(data):
        case ImageFormat.JPEG:
            flags |= _reduction(min(width, height), spec.size_px)
        case ImageFormat.PNG if data.rfind(PNG_END) < 0:  # libpng stops at the first picture
            raise CorruptMediaError("The PNG was cut off. Upload it again.")
        case ImageFormat.TIFF:
            data = without_alpha_in_tiff(data)
    pixels = _decode(data, flags)
    return preprocess_pixels(pixels, spec)


def _reduction(shorter_side_px: int, size_px: int) -> int:
    """Let libjpeg scale by 2, 4 or 8 while it decodes, as long as no detail of the frame is lost.

    Two to three times as fast as a full decode for large photographs.
    """
    for factor, flag in REDUCED_READS.items():
        if shorter_side_px // factor >= size_px:
            return flag
    return 0


def _decode(data: bytes, flags: int) -> Frame:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError("OpenCV has no memory for the pixels") from error
        raise CorruptMediaError("The image does not decode.") from error
    if pixels is None:
        raise CorruptMediaError("The image is truncated or damaged. Upload it again.")
    return np.asarray(pixels, np.uint8)


def preprocess_pixels(rgb: Frame, spec: PreprocessingSpec) -> Frame:
    """Fit decoded pixels of any size, uint8 (height, width, 3) RGB, to the spec.

    Returns:
        uint8 of shape (spec.size_px, spec.size_px, 3), RGB; letterbox bars are black, and 'gray'
        gives three equal channels.
    """
    size_px = spec.size_px
    if spec.resize == "letterbox":
        frame = _letterbox(rgb, size_px)
    else:
        frame = _resize(rgb, size_px, size_px)
    if spec.colour == "gray":
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        frame = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    return frame


def _resize(rgb: Frame, width: int, height: int) -> Frame:
    """Shrink by area first, so that nothing aliases; then enlarge linearly if too small."""
    shrunk_size = (min(width, rgb.shape[1]), min(height, rgb.shape[0]))
    shrunk = cv2.resize(rgb, shrunk_size, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _letterbox(rgb: Frame, size_px: int) -> Frame:
    height, width = rgb.shape[:2]
    scale = size_px / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size_px - inner_width) // 2, (size_px - inner_height) // 2
    frame = np.zeros((size_px, size_px, 3), np.uint8)
    frame[top : top + inner_height, left : left + inner_width] = _resize(
        rgb, inner_width, inner_height
    )
    return frame


def to_network_input(frames: Frame, card: ModelCard) -> npt.NDArray[np.float32]:
    """Normalise frames, uint8 (N, S, S, 3) RGB, by the card's mean and std.

    Returns:
        float32 of shape (N, 3, S, S), C-contiguous.
    """
    scale = (1 / (255 * np.asarray(card.std))).astype(np.float32).reshape(3, 1, 1)
    shift = (np.asarray(card.mean) / np.asarray(card.std)).astype(np.float32).reshape(3, 1, 1)
    inputs = np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).astype(np.float32)
    inputs *= scale
    inputs -= shift
    return inputs


def perceptual_hash(frame: Frame) -> str:
    """Compute the 64-bit difference hash of an RGB frame as 16 hex digits.

    Bit i says whether pixel i of the 9 x 8 gray thumbnail is darker than its right neighbour, row
    by row. Source: Neal Krawetz, "Kind of Like That", The Hacker Factor Blog, 2013. A frame
    without any rise in brightness, such as a blank one, hashes to zeros.
    """
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    thumbnail = np.asarray(cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA))
    rises = thumbnail[:, :-1] < thumbnail[:, 1:]
    return np.packbits(rises).tobytes().hex()


def encode_png(frame: Frame) -> bytes:
    """Encode an RGB frame without loss."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def decode_png(data: bytes) -> Frame:
    """Decode what `encode_png` wrote: uint8 (height, width, 3) RGB.

    Raises:
        CorruptMediaError: truncated or damaged.
    """
    return _decode(data, cv2.IMREAD_COLOR_RGB)
