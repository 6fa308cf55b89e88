"""Finds files that look like copies of older ones: by hashes, confirmed by embeddings. Pure."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from visionops_assets.vision.crop_hashes import CROPS, LEAST_DEVIATION, WHOLE, Hashes, cut

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

Integers = npt.NDArray[np.int64]

MAX_DISTANCE = 12
"""Bits of 63. Of copies of photographs cropped by 10 %, coded as JPEG of quality 30 to 70 or
brightened by a fifth, 99 % are within it; of pairs of different ones, one in 10,000."""
NEAREST = 8
"""Older frames that a frame is compared with by their embeddings. Copies are among the nearest, and
frames of a fixed camera would make a pair with each of the others."""
SEEN_PX, INPUT_PX = 32, 64
"""Sides of what is compared, and of what the network sees of it. JPEG changes finer detail."""
MEAN, DEVIATION = 127.0, 55.0
"""Levels that what is compared is brought to, as pictures of ImageNet have them on average."""
SURE_DISTANCE = 2
MIN_SIMILARITY, MIN_SIMILARITY_IF_SURE = 0.9, 0.8
"""Cosines. Less is asked of pairs that are at most `SURE_DISTANCE` bits apart.

Measured with one copy of each of 99 photographs and paintings: as JPEG of quality 50, cropped by
10 %, or brightened by a fifth, 97 to 100 % were found, and no wrong one. Of 1,000 pictures of
garments (Fashion-MNIST, 28 px), with three copies each, 95 %, at a precision of 0.99.
"""
ROWS, COLUMNS = 64, 512
"""A block of the table of distances: what is computed at once lies in a core's cache."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of frames that may be copies, by their places among the frames: int64 (P,) each.

    `newer_crop` and `older_crop` say by their places in `CROPS` which parts are alike; one of both
    is the whole. `distance` is in bits.
    """

    newer: Integers
    older: Integers
    newer_crop: Integers
    older_crop: Integers
    distance: Integers

    def __len__(self) -> int:
        return len(self.newer)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Return all candidates as one."""
    none = np.empty(0, np.int64)
    columns = ([getattr(part, each.name) for part in parts] for each in fields(Candidates))
    return Candidates(*(np.concatenate([none, *column]) for column in columns))


def nearest_older(
    hashes: Hashes, owners: Integers, first: int = 0, threads: int = 1
) -> Iterator[tuple[int, Candidates]]:
    """Find for each frame from the place `first` on the frames before it that are nearest to it.

    `hashes`, uint64 (N, len(CROPS)), are in the order of age, and so are `owners`, int64 (N,):
    frames of one owner are no copies of each other. The time grows with the square of N: 100,000
    frames take some four minutes of one core.

    Yields:
        How many frames have been compared, and the candidates among them.
    """
    starts = range(first, len(hashes), ROWS)
    # NumPy lets other threads run while it computes.
    pool = ThreadPoolExecutor(threads, "near-copies")
    try:
        found = pool.map(partial(_of_rows, hashes, owners), starts)
        yield from zip((min(start + ROWS, len(hashes)) for start in starts), found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _of_rows(hashes: Hashes, owners: Integers, start: int) -> Candidates:
    rows = slice(start, min(start + ROWS, len(hashes)))
    pairs = np.empty((3, 0), np.int64)
    for begin in range(0, rows.stop, COLUMNS):
        columns = slice(begin, min(begin + COLUMNS, rows.stop))
        distances = _distances(hashes[rows], hashes[columns])
        row, column = np.nonzero(distances <= MAX_DISTANCE)
        newer, older = row + start, column + begin
        others = (older < newer) & (owners[older] != owners[newer])
        found = np.stack([newer, older, distances[row, column]])[:, others]
        # At once: each frame of a fixed camera is near to all before it.
        pairs = _nearest(np.concatenate([pairs, found], axis=1))
    return _described(hashes, *pairs)


def _distances(rows: Hashes, columns: Hashes) -> npt.NDArray[np.uint8]:
    """Return the least distance of whole or crop to whole, uint8 (rows, columns)."""
    least = np.full((len(rows), len(columns)), 64, np.uint8)
    differing = np.empty(least.shape, np.uint64)
    distance = np.empty(least.shape, np.uint8)
    for row_crop, column_crop in _COMPARED:
        np.bitwise_xor(rows[:, row_crop, None], columns[None, :, column_crop], out=differing)
        np.bitwise_count(differing, out=distance)
        np.minimum(least, distance, out=least)
    return least


_COMPARED = [(WHOLE, WHOLE)] + [
    pair for crop in range(1, len(CROPS)) for pair in ((crop, WHOLE), (WHOLE, crop))
]


def _nearest(pairs: Integers) -> Integers:
    """Keep of each newer frame the pairs of least distance, the oldest first: int64 (3, P)."""
    newer, older, distance = pairs
    order = np.lexsort((older, distance, newer))
    _, firsts, counts = np.unique(newer[order], return_index=True, return_counts=True)
    ranks = np.arange(len(order)) - np.repeat(firsts, counts)
    return pairs[:, order[ranks < NEAREST]]


def _described(hashes: Hashes, newer: Integers, older: Integers, distance: Integers) -> Candidates:
    """Say of each pair which parts are the nearest to each other."""
    parts = np.array(_COMPARED)
    differing = hashes[newer][:, parts[:, 0]] ^ hashes[older][:, parts[:, 1]]
    best = np.bitwise_count(differing).argmin(axis=1)
    return Candidates(newer, older, parts[best, 0], parts[best, 1], distance)


def as_compared(frame: Frame, crop: int) -> Floats:
    """Return a crop of a frame as it is embedded: small, and of one brightness and contrast."""
    seen = cut(frame, CROPS[crop])
    if min(seen.shape[:2]) > SEEN_PX:
        seen = np.asarray(cv2.resize(seen, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_AREA))
    deviation = max(float(seen.std()), LEAST_DEVIATION)
    levels = (seen - seen.mean()) * (DEVIATION / deviation) + MEAN
    return np.asarray(levels, np.float32)


@dataclass(frozen=True)
class Copy:
    """A file that is a near copy of an older one, by their places among the owners.

    `of` is the older file that is most alike, `group` the oldest of all that are linked to it.
    `distance` is in bits, `similarity` the cosine of their embeddings.
    """

    owner: int
    of: int
    group: int
    distance: int
    similarity: float


def copies(found: Candidates, similarity: npt.NDArray[np.float32], owners: Integers) -> list[Copy]:
    """Say which files are near copies, the oldest first.

    Candidates are confirmed by the cosine (P) of their embeddings. Of one of two files at least
    half of the frames must be in the other: videos may share a title.
    """
    least = np.where(found.distance > SURE_DISTANCE, MIN_SIMILARITY, MIN_SIMILARITY_IF_SURE)
    links = pd.DataFrame(
        {
            "newer": owners[found.newer],
            "older": owners[found.older],
            "newer_frame": found.newer,
            "older_frame": found.older,
            "distance": found.distance,
            "similarity": similarity,
        }
    )[similarity >= least]
    frames = np.bincount(owners)
    shared = links.groupby(["newer", "older"])[["newer_frame", "older_frame"]].transform("nunique")
    is_half = (2 * shared["newer_frame"] >= frames[links["newer"]]) | (
        2 * shared["older_frame"] >= frames[links["older"]]
    )
    links = links[is_half]
    groups = _groups(links, len(frames))
    ordered = links.sort_values(["newer", "similarity", "older"], ascending=[True, False, True])
    return [
        Copy(int(newer), int(older), groups[newer], int(distance), float(cosine))
        for newer, older, distance, cosine in ordered.drop_duplicates("newer")[
            ["newer", "older", "distance", "similarity"]
        ].itertuples(index=False)
    ]


def _groups(links: pd.DataFrame, count: int) -> list[int]:
    """Return the oldest file that each is linked to, by others or at once."""
    ones = np.ones(len(links), np.int8)
    graph = csr_array((ones, (links["newer"], links["older"])), shape=(count, count))
    _, labels = connected_components(graph)
    oldest = np.unique(labels, return_index=True)[1]
    return [int(place) for place in oldest[labels]]
