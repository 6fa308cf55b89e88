"""Turns decoded video frames into pictures as a player shows them: square pixels, then upright."""

import struct
from fractions import Fraction
from typing import cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video import VideoFrame, VideoStream

from visionops_assets.vision.framing import Frame
from visionops_assets.vision.headers import check_pixels

MATRIX = struct.Struct("=9i")
Turn = tuple[float, float, float, float]
"""The part of a display matrix that turns: a pixel at (x, y) is shown at (ax + cy, bx + dy)."""
STRAIGHT = (1, 0, 0, 1)
BY_QUARTERS: tuple[Turn, ...] = (STRAIGHT, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
"""Counter-clockwise."""


class Display:
    """Shows the frames of one stream.

    Args:
        stream: opened, before its first frame is decoded.
        max_pixels: most pixels of one picture as shown.
    """

    def __init__(self, stream: VideoStream, max_pixels: int) -> None:
        self._codec = stream.codec_context
        self._max_pixels = max_pixels
        # A container may contradict the pictures inside, and is right then, as in FFmpeg's players.
        declared = stream.sample_aspect_ratio
        self._declared = declared if declared != self._codec.sample_aspect_ratio else None

    def picture(self, frame: VideoFrame, pixel_format: str) -> Frame:
        """Convert the frame that was decoded last, or one of those decoded with it.

        Pixels that are not square are enlarged along their longer side, so that no detail is lost;
        an unknown ratio counts as square. Where the ratio changes within a stream, it does so as
        soon as it is decoded, a few frames early. The turn comes last.

        Returns:
            uint8 (height, width, 3), channels in the order of `pixel_format`, "rgb24" or "bgr24".

        Raises:
            TooManyPixelsError: the picture as shown has more than `max_pixels`.
        """
        aspect = self._declared or self._codec.sample_aspect_ratio
        size = shown_size(frame.width, frame.height, aspect)
        check_pixels(*size, self._max_pixels)
        pixels = np.asarray(frame.to_ndarray(format=pixel_format), np.uint8)
        if size != (frame.width, frame.height):
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return turned(pixels, turn_of(frame))


def shown_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height in square pixels, given the width of a pixel over its height."""
    aspect = pixel_aspect or Fraction(1)
    return max(width, round(width * aspect)), max(height, round(height / aspect))


def turn_of(frame: VideoFrame) -> Turn:
    """Read how a frame is to be turned, and perhaps mirrored."""
    try:
        matrix = bytes(cast("SideDataContainer", frame.side_data)[Type.DISPLAYMATRIX])
    except KeyError:
        return STRAIGHT
    except ValueError:  # side data that PyAV does not know; this property loses a mirror
        return BY_QUARTERS[round(frame.rotation / 90) % 4]
    a, b, _, c, d, *_ = MATRIX.unpack(matrix)
    return a, b, c, d


def turned(pixels: Frame, turn: Turn) -> Frame:
    """Turn and mirror by the nearest of the eight ways that keep the pixels in rows and columns."""
    a, b, c, d = turn
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, to_right, to_bottom = pixels.transpose(1, 0, 2), c, b
    else:
        to_right, to_bottom = a, d
    pixels = pixels[:: -1 if to_bottom < 0 else 1, :: -1 if to_right < 0 else 1]
    return np.ascontiguousarray(pixels)
