"""Which files are near copies: the search against plain loops, and the whole on photographs."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vision.real_pictures import FLOWER, PALACE, PORTRAIT, Frame, read, stretched
from visionops_assets.vision import near_copies
from visionops_assets.vision.crop_hashes import CROPS, WHOLE, Hashes, crop_hashes, cut, read_hashes
from visionops_assets.vision.embedding import embed
from visionops_assets.vision.near_copies import (
    INPUT_PX,
    MAX_DISTANCE,
    NEAREST,
    Candidates,
    as_compared,
    copies,
    joined,
    nearest_older,
)

TILE_PX = 120


def tiles() -> Iterator[Frame]:
    """Cut photographs into pieces that do not overlap, without those of mere sky."""
    for path in (PALACE, FLOWER, PORTRAIT):
        picture = read(path)
        for top in range(0, picture.shape[0] - TILE_PX, TILE_PX):
            for left in range(0, picture.shape[1] - TILE_PX, TILE_PX):
                tile = picture[top : top + TILE_PX, left : left + TILE_PX]
                if tile.std() > 25:
                    yield np.ascontiguousarray(tile)


def coded_anew(picture: Frame, quality: int) -> Frame:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], options)[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)


def brightened(picture: Frame, factor: float) -> Frame:
    return np.asarray(np.clip(picture * factor, 0, 255), np.uint8)


def of_like_outlines(picture: Frame, other: Frame) -> Frame:
    """Give a picture the details of another: hashes, which see outlines, hardly tell it."""
    coarse, of_other = (
        cv2.GaussianBlur(each.astype(np.float32), (0, 0), 8) for each in (picture, other)
    )
    return np.asarray(np.clip(coarse + other - of_other, 0, 255), np.uint8)


COPYING: dict[str, Callable[[Frame], Frame]] = {
    "coded anew": lambda picture: coded_anew(picture, 60),
    "cropped": lambda picture: cut(picture, CROPS[1]),
    "cropped at one side": lambda picture: cut(picture, CROPS[2]),
    "brightened": lambda picture: brightened(picture, 1.2),
}


def found_among(pictures: list[Frame]) -> list[near_copies.Copy]:
    """Find the copies among files of one picture each, by frames of 64 pixels."""
    frames = [stretched(picture, 64) for picture in pictures]
    hashes, owners = read_hashes(list(map(crop_hashes, frames))), np.arange(len(frames))
    found = joined([part for _, part in nearest_older(hashes, owners)])
    sides = (zip(found.newer, found.newer_crop), zip(found.older, found.older_crop))  # noqa: B905
    one, other = (embed([as_compared(frames[f], c) for f, c in side], INPUT_PX) for side in sides)
    return copies(found, np.einsum("ij,ij->i", one, other), owners)


def test_copies_of_photographs_are_found_and_no_others() -> None:
    originals = list(tiles())
    count = len(originals)
    assert count > 40
    copied = [copy(picture) for copy in COPYING.values() for picture in originals]
    found = found_among([*originals, *copied])
    right = [copy for copy in found if copy.owner % count == copy.of % count]
    by_group = [copy for copy in found if copy.owner % count == copy.group]
    assert len(right) >= 0.95 * len(copied)
    assert len(right) >= 0.99 * len(found)
    assert len(by_group) >= 0.99 * len(right)


def test_pictures_of_like_outlines_are_no_copies() -> None:
    """Many of them are within the distance: it is embeddings that tell them."""
    originals = list(tiles())
    others = [
        of_like_outlines(*pair)
        for pair in zip(originals, originals[1:] + originals[:1], strict=True)
    ]
    frames = [stretched(picture, 64) for picture in originals + others]
    hashes = read_hashes(list(map(crop_hashes, frames)))
    found = joined([part for _, part in nearest_older(hashes, np.arange(len(frames)))])
    assert np.sum(found.newer - found.older == len(originals)) > len(originals) / 3
    assert found_among(originals + others) == []


def slow_nearest(hashes: Hashes, owners: list[int], first: int) -> set[tuple[int, int, int]]:
    """The same by plain loops: newer, older, distance."""
    kept = set()
    for newer in range(first, len(owners)):
        pairs = []
        for older in range(newer):
            distance = min(
                int(np.bitwise_count(hashes[newer, a] ^ hashes[older, b]))
                for a in range(len(CROPS))
                for b in range(len(CROPS))
                if WHOLE in (a, b)
            )
            if owners[newer] != owners[older] and distance <= MAX_DISTANCE:
                pairs.append((distance, older))
        kept |= {(newer, older, distance) for distance, older in sorted(pairs)[:NEAREST]}
    return kept


@settings(max_examples=50, deadline=None)
@given(
    looks=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    seed=st.integers(0, 2**32 - 1),
    first=st.integers(0, 20),
    threads=st.integers(1, 3),
)
def test_the_search_finds_what_loops_find(
    looks: list[int], seed: int, first: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**63, (4, len(CROPS)), dtype=np.uint64)
    # Some bits of each are turned, so that distances lie on both sides of the limit.
    masks = rng.integers(0, 2**63, (4, len(looks), len(CROPS)), dtype=np.uint64)
    hashes = drawn[looks] ^ (masks[0] & masks[1] & masks[2] & masks[3])
    owners = np.cumsum(rng.integers(0, 2, len(looks)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_copies, "ROWS", 5)
        patch.setattr(near_copies, "COLUMNS", 7)
        steps = list(nearest_older(hashes, owners, first, threads))
    found = joined([part for _, part in steps])
    rows = zip(found.newer.tolist(), found.older.tolist(), found.distance.tolist(), strict=True)
    assert set(rows) == slow_nearest(hashes, owners.tolist(), first)
    parts = hashes[found.newer, found.newer_crop] ^ hashes[found.older, found.older_crop]
    assert (np.bitwise_count(parts) == found.distance).all()
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert not steps or steps[-1][0] == len(looks)


def candidates(*pairs: tuple[int, int]) -> Candidates:
    newer, older = np.array(pairs, np.int64).reshape(-1, 2).T
    return Candidates(newer, older, newer * 0, newer * 0, newer * 0 + 3)


def sure(count: int) -> np.ndarray:
    return np.full(count, 0.99, np.float32)


def test_a_group_is_named_after_its_oldest_file_however_it_is_linked() -> None:
    found = candidates((2, 0), (3, 1), (4, 2), (4, 3), (6, 5))
    groups = {copy.owner: copy.group for copy in copies(found, sure(5), np.arange(7))}
    assert groups == {2: 0, 3: 0, 4: 0, 6: 5}


def test_of_several_older_files_the_most_alike_is_named() -> None:
    similarity = np.array([0.97, 0.99, 0.98], np.float32)
    [copy] = copies(candidates((3, 0), (3, 1), (3, 2)), similarity, np.arange(4))
    assert (copy.of, copy.group, copy.distance) == (1, 0, 3)
    assert copy.similarity == pytest.approx(0.99)


def test_what_embeddings_do_not_confirm_is_no_copy() -> None:
    similarity = np.array([0.3, np.nan, 0.99], np.float32)
    found = copies(candidates((1, 0), (2, 0), (3, 0)), similarity, np.arange(4))
    assert [copy.owner for copy in found] == [3]


def test_a_title_that_videos_share_makes_no_copies() -> None:
    """Three of eight frames, and then four; and a still of a video is one of its copies."""
    owners = np.repeat([0, 1, 2], [8, 8, 1])
    shared = [(8 + frame, frame) for frame in range(3)]
    assert copies(candidates(*shared), sure(3), owners) == []
    [copy] = copies(candidates(*shared, (11, 3)), sure(4), owners)
    assert (copy.owner, copy.of) == (1, 0)
    [still] = copies(candidates((16, 5)), sure(1), owners)
    assert (still.owner, still.of) == (2, 0)


def test_nothing_is_found_among_nothing() -> None:
    none = joined([])
    assert len(none) == 0
    assert copies(none, sure(0), np.arange(0)) == []
    hashes = read_hashes([])
    assert list(nearest_older(hashes, np.arange(0))) == []
