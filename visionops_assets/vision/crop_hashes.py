"""Hashes of a frame and of its crops, by which copies that were cropped are found.

The hash of a crop is close to that of the whole original for no frame, but to that of the same crop
of the original. So each frame has a hash of itself and of the crops in `CROPS`, and two frames are
compared whole with whole, and whole with each crop, both ways. All come from one small product of
matrices, in some 30 us on one core of a server: the sandbox's child computes them.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]

THUMBNAIL_PX = 32
WAVES = 8
LEAST_DEVIATION = 2.5
"""Levels, as `sources.BLANK_CONTRAST`: what varies less shows nothing; its hash were noise."""
WHOLE = 0
"""The place of the whole frame in `CROPS`."""
_SPANS = ((0.0, 1.0), (0.05, 0.95), (0.0, 0.9), (0.1, 1.0), (0.1, 0.9))
_ALL, _MIDDLE, _FIRST, _LAST, _INNER = range(len(_SPANS))
_PARTS = (
    # down, across: the whole, 5 % off each side, 10 % off one side, off two, off each
    (_ALL, _ALL),
    (_MIDDLE, _MIDDLE),
    *((_ALL, _FIRST), (_ALL, _LAST), (_FIRST, _ALL), (_LAST, _ALL)),
    *((_FIRST, _FIRST), (_FIRST, _LAST), (_LAST, _FIRST), (_LAST, _LAST)),
    (_INNER, _INNER),
)


class Crop(NamedTuple):
    """A part of a frame, 0..1 of its sides."""

    top: float
    bottom: float
    left: float
    right: float


CROPS = tuple(Crop(*_SPANS[down], *_SPANS[across]) for down, across in _PARTS)


def _waves(first: float, last: float) -> npt.NDArray[np.float32]:
    """Return the first waves of a DCT-II over a span of the thumbnail: (WAVES, THUMBNAIL_PX).

    A pixel at the edge counts by its part within the span. All but the constant sum to zero, so
    that brightness has no part in them.
    """
    edges = np.arange(THUMBNAIL_PX + 1) / THUMBNAIL_PX
    starts, ends = np.maximum(edges[:-1], first), np.minimum(edges[1:], last)
    covered = np.maximum(ends - starts, 0)
    places = ((starts + ends) / 2 - first) / (last - first)
    waves = np.cos(np.pi * np.arange(WAVES)[:, None] * places) * covered
    waves[1:] -= covered * (waves[1:].sum(axis=1, keepdims=True) / covered.sum())
    return np.asarray(waves, np.float32)


_WAVES = np.concatenate([_waves(*span) for span in _SPANS])
_PLACES = tuple(np.array(places) for places in zip(*_PARTS, strict=True))


def crop_hashes(frame: Frame) -> bytes:
    """Compute the hashes of a frame, uint8 (height, width, 3) RGB, and of its `CROPS`, in order.

    Each has 8 bytes: the signs of the 63 lowest waves of the gray thumbnail's DCT, after a bit that
    is 0. Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    2010, section 3.2; signs in place of a median cost less and find as much. A frame that shows
    nothing has none: the result is empty.
    """
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    thumbnail = cv2.resize(gray, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    if thumbnail.std() < LEAST_DEVIATION:
        return b""
    spectrum = _WAVES @ thumbnail.astype(np.float32) @ _WAVES.T
    spans = len(_SPANS)
    of_spans = spectrum.reshape(spans, WAVES, spans, WAVES).transpose(0, 2, 1, 3)
    signs = of_spans[_PLACES].reshape(len(CROPS), WAVES * WAVES) > 0
    signs[:, 0] = False
    return np.packbits(signs, axis=1).tobytes()


def read_hashes(stored: list[bytes]) -> Hashes:
    """Return what `crop_hashes` gave of N frames as uint64 (N, len(CROPS)); none may be empty."""
    return np.frombuffer(b"".join(stored), np.uint64).reshape(len(stored), len(CROPS))


def cut(frame: Frame, crop: Crop) -> Frame:
    """Return a crop of a frame, to the nearest pixel."""
    height, width = frame.shape[:2]
    rows = slice(round(crop.top * height), round(crop.bottom * height))
    columns = slice(round(crop.left * width), round(crop.right * width))
    return np.ascontiguousarray(frame[rows, columns])
