"""Turns encoded images into frames and network input: the only path for all uses.

Frames stage, training and serving all import this module, so it must stay importable inside
Triton's environment: numpy and OpenCV only. `images.py` says what any image becomes as RGB.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.contracts.preprocessing import ColourProfile
from visionops_assets.vision.framing import least_part, preprocess_pixels
from visionops_assets.vision.images import (
    SecondDecoder,
    decode_by_opencv,
    decode_image,
    picture_size,
)

Frame = npt.NDArray[np.uint8]


def preprocess_image(
    data: bytes,
    spec: PreprocessingSpec,
    *,
    max_pixels: int,
    second_decoder: SecondDecoder | None = None,
) -> Frame:
    """Decode one encoded image, by the table of `images.py`, and fit it to the spec.

    Returns:
        uint8 of shape (spec.size_px, spec.size_px, 3), RGB.

    Raises:
        MediaError: see `decode_image`.
    """
    [frame], _ = preprocess_image_for_each(
        data, [spec], max_pixels=max_pixels, second_decoder=second_decoder
    )
    return frame


def needed_picture(spec: PreprocessingSpec) -> tuple[float, ColourProfile]:
    """Return the pixels that a spec needs of an image's width, and its colours.

    Specs with equal needs see the same picture.
    """
    return spec.size_px / least_part(spec), spec.colour_profile


def preprocess_image_for_each(
    data: bytes,
    specs: Sequence[PreprocessingSpec],
    *,
    max_pixels: int,
    second_decoder: SecondDecoder | None = None,
) -> tuple[list[Frame], tuple[int, int]]:
    """Decode an image once, for specs with equal needs; see `preprocess_image`.

    The second value is width and height of the upright picture.
    """
    needed_px, profile = needed_picture(specs[0])
    pixels = decode_image(
        data, needed_px, max_pixels=max_pixels, profile=profile, second_decoder=second_decoder
    )
    return [preprocess_pixels(pixels, spec) for spec in specs], picture_size(data, pixels)


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


def encode_frame(frame: Frame, jpeg_quality: int | None = None) -> bytes:
    """Encode an RGB frame: as JPEG of a quality (0..100) with whole colours, else as PNG."""
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    if jpeg_quality is None:
        return cv2.imencode(".png", bgr)[1].tobytes()
    whole_colours = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality, *whole_colours]
    return cv2.imencode(".jpg", bgr, options)[1].tobytes()


def decode_frame(data: bytes) -> Frame:
    """Decode what `encode_frame` wrote: uint8 (height, width, 3) RGB.

    Raises:
        CorruptMediaError: truncated or damaged.
    """
    return decode_by_opencv(data, cv2.IMREAD_COLOR_RGB)
