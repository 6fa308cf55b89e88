"""Each filter: its law on any picture, and the same pixels in Triton's environment."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.preprocessing import (
    BlurMask,
    Clahe,
    Denoise,
    FrameFilter,
    Gamma,
    RegionOfInterest,
    Sharpen,
    SourceFilter,
)
from visionops_assets.vision.filters import Frame, filtered
from visionops_assets.vision.filters.region import _span, inside
from visionops_assets.vision.framing import least_part, preprocess_pixels

SIDES = st.integers(1, 24)
PICTURES = st.tuples(SIDES, SIDES).flatmap(
    lambda sides: st_numpy.arrays(np.uint8, (*sides, 3), elements=st.integers(0, 255))
)
RECTANGLES = st.tuples(
    st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0.001, 1), st.floats(0.001, 1)
).map(
    lambda at: {
        "left": min(at[0], at[2]),
        "right": max(at[0], at[2]) + (at[0] == at[2]) * 0.001,
        "top": min(at[1], at[3]),
        "bottom": max(at[1], at[3]) + (at[1] == at[3]) * 0.001,
    }
)
ALL: tuple[SourceFilter | FrameFilter, ...] = (
    RegionOfInterest(left=0.1, right=0.9),
    BlurMask(left=0.2, top=0.3, right=0.6, bottom=0.8),
    Denoise(),
    Clahe(),
    Sharpen(),
    Gamma(gamma=2.2),
)


def noise(height: int = 90, width: int = 120, seed: int = 0) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def only(rgb: Frame, each: SourceFilter | FrameFilter) -> Frame:
    return filtered(rgb, (each,))


@given(PICTURES, st.sampled_from(ALL))
def test_any_picture_stays_a_picture_and_is_not_changed_itself(
    picture: Frame, each: SourceFilter | FrameFilter
) -> None:
    before = picture.copy()
    result = only(picture, each)
    assert result.dtype == np.uint8
    assert result.shape[2:] == (3,)
    assert result.size
    if not isinstance(each, RegionOfInterest):
        assert result.shape == picture.shape
    assert np.array_equal(picture, before)


@given(PICTURES, RECTANGLES)
def test_a_region_is_what_the_rectangle_touches(picture: Frame, sides: dict[str, float]) -> None:
    each = RegionOfInterest(**sides)
    height, width = picture.shape[:2]
    rows, columns = inside(height, width, each)
    assert np.array_equal(only(picture, each), picture[rows, columns])
    for span, pixels, start, end in (
        (rows, height, each.top, each.bottom),
        (columns, width, each.left, each.right),
    ):
        assert 0 <= span.start < span.stop <= pixels
        assert span.start <= start * pixels + 1e-3
        assert end * pixels <= span.stop + 1e-3
        assert span.stop - span.start <= (end - start) * pixels + 2


def test_the_whole_picture_is_a_region() -> None:
    assert np.array_equal(only(noise(), RegionOfInterest()), noise())
    assert only(noise(10, 10), RegionOfInterest(left=0.7)).shape == (10, 3, 3)


@given(PICTURES, RECTANGLES)
def test_a_mask_changes_nothing_outside(picture: Frame, sides: dict[str, float]) -> None:
    each = BlurMask(**sides)
    rows, columns = inside(picture.shape[0], picture.shape[1], each)
    outside = np.ones(picture.shape[:2], bool)
    outside[rows, columns] = False
    assert np.array_equal(only(picture, each)[outside], picture[outside])


def test_a_mask_leaves_few_numbers_of_what_it_hides() -> None:
    """Pictures that differ in every pixel, but not in the means of the cells, look the same."""
    cells = np.kron(noise(6, 6, seed=1), np.ones((16, 16, 1), np.uint8)).astype(int)
    one, other = (
        (np.clip(cells, 32, 223) + sign * 32 * (np.indices((96, 96)).sum(0) % 2 * 2 - 1)[..., None])
        for sign in (1, -1)
    )
    hidden = [only(each.astype(np.uint8), BlurMask()).astype(int) for each in (one, other)]
    assert np.abs(one - other).min() == 64
    assert np.abs(hidden[0] - hidden[1]).max() <= 1


@pytest.mark.parametrize("side", [2, 3, 5])
def test_a_small_mask_hides_as_well(side: int) -> None:
    part = side / 30
    hidden = only(noise(30, 30), BlurMask(right=part, bottom=part))[:side, :side]
    assert not np.array_equal(hidden, noise(30, 30)[:side, :side])


def test_noise_gets_less_and_an_edge_stays() -> None:
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    grain = np.random.default_rng(0).normal(0, 10, edge.shape)
    noisy = np.clip(edge + 25 + grain, 0, 255).astype(np.uint8)
    smooth = only(noisy, Denoise(strength=10)).astype(int)
    for half in (smooth[8:-8, 8:24], smooth[8:-8, 40:56]):
        assert half.std() < 6
    assert smooth[:, 33].mean() - smooth[:, 30].mean() > 180


def test_clahe_spreads_what_is_pale_and_keeps_gray_gray() -> None:
    pale = np.random.default_rng(0).integers(110, 141, (64, 64, 1), np.uint8).repeat(3, 2)
    spread = only(pale, Clahe(clip=10))
    assert spread.std() > 2 * pale.std()
    assert np.ptp(spread.astype(int), axis=2).max() <= 1
    assert only(pale, Clahe(clip=2)).std() < spread.std()


def test_sharpening_steepens_an_edge_and_leaves_the_plain() -> None:
    edge = np.full((32, 32, 3), 60, np.uint8)
    edge[:, 16:] = 180
    sharp = only(edge, Sharpen(amount=1, radius_px=2)).astype(int)
    assert sharp[0, 15, 0] < 50
    assert sharp[0, 16, 0] > 190
    assert np.array_equal(sharp[:, :4], edge[:, :4])


@given(PICTURES, st.floats(0.1, 10))
def test_gamma_keeps_order_and_both_ends(picture: Frame, gamma: float) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    levels = only(ramp, Gamma(gamma=gamma))[..., 0].ravel().astype(int)
    assert np.all(np.diff(levels) >= 0)
    assert (levels[0], levels[255]) == (0, 255)
    assert np.array_equal(only(picture, Gamma(gamma=gamma)), levels[picture])
    assert np.array_equal(only(picture, Gamma(gamma=1)), picture)


def test_gamma_above_one_brightens() -> None:
    assert only(np.full((1, 1, 3), 64, np.uint8), Gamma(gamma=2))[0, 0, 0] == 128


def test_filters_follow_each_other_in_the_order_of_the_spec() -> None:
    first, second = Gamma(gamma=3), Sharpen(amount=2)
    one, other = filtered(noise(), (first, second)), filtered(noise(), (second, first))
    assert not np.array_equal(one, other)
    assert np.array_equal(one, only(only(noise(), first), second))


def test_bars_of_a_letterbox_stay_black_and_gray_stays_gray() -> None:
    spec = PreprocessingSpec(
        size_px=32, resize="letterbox", colour="gray", filters=(Clahe(), Gamma(gamma=5))
    )
    frame = preprocess_pixels(noise(16, 64), spec)
    assert not frame[:12].any()
    assert frame[12:20].all(axis=(1, 2)).all()
    assert np.ptp(frame, axis=2).max() == 0


def test_a_region_is_cut_before_the_picture_is_scaled() -> None:
    spec = PreprocessingSpec(size_px=16, filters=(RegionOfInterest(right=0.5, bottom=0.25),))
    whole = PreprocessingSpec(size_px=16)
    part = preprocess_pixels(np.ascontiguousarray(noise(80, 60)[:20, :30]), whole)
    assert np.array_equal(preprocess_pixels(noise(80, 60), spec), part)
    assert least_part(spec) == 0.25
    assert least_part(whole) == 1


IN_TRITON = """
import json, sys, hashlib
import numpy as np
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.vision.framing import preprocess_pixels
noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
for text in json.load(sys.stdin):
    frame = preprocess_pixels(noise, PreprocessingSpec.model_validate(text))
    print(hashlib.sha256(frame.tobytes()).hexdigest())
"""


def test_frames_are_the_same_pixels_in_tritons_environment() -> None:
    """Its NumPy is an older one; a filter that differs would be seen as drift of all classes."""
    triton = Path(__file__).parents[2] / ".venv-triton" / "bin" / "python"
    specs: list[dict[str, Any]] = [
        PreprocessingSpec(size_px=48, filters=(each,)).model_dump(mode="json") for each in ALL
    ]
    specs.append(PreprocessingSpec(size_px=48, resize="centre_crop").model_dump(mode="json"))
    said = [
        subprocess.run(
            [python, "-c", IN_TRITON],
            input=json.dumps(specs),
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout.split()
        for python in (sys.executable, str(triton))
    ]
    assert said[0] == said[1]
    assert len(set(said[0])) == len(specs)
    first = preprocess_pixels(noise(), PreprocessingSpec.model_validate(specs[0]))
    assert said[0][0] == hashlib.sha256(first.tobytes()).hexdigest()


PLACES = ((0, 0), (1, 3), (2, 2), (3, 4), (4, 1), (4, 4), (1, 1), (3, 0))
"""In fifths of the sides; each shows the next channel."""


def waves() -> Frame:
    """Return a picture of 40 x 30 that has slow and quick changes, without chance."""
    y, x, c = np.indices((30, 40, 3))
    return np.asarray((x * x + 7 * y + 31 * c + (x * y * 13 + c * 17) % 61) % 256, np.uint8)


@pytest.mark.parametrize(
    ("each", "shown"),
    [
        (RegionOfInterest(left=0.13, right=0.81, top=0.3, bottom=0.99),
         [124, 79, 213, 159, 84, 223, 234, 243]),
        (BlurMask(), [56, 130, 143, 122, 103, 130, 138, 194]),
        (BlurMask(right=0.1, bottom=0.1), [5, 196, 175, 172, 19, 244, 120, 174]),
        (Denoise(), [5, 191, 177, 172, 22, 244, 124, 176]),
        (Denoise(strength=25), [9, 177, 177, 159, 44, 244, 141, 181]),
        (Clahe(), [0, 189, 223, 224, 13, 222, 107, 82]),
        (Sharpen(), [0, 212, 176, 182, 0, 255, 109, 170]),
        (Gamma(gamma=2.2), [0, 226, 215, 213, 78, 250, 181, 214]),
    ],
)  # fmt: skip
def test_the_pixels_of_a_spec_stay_those_that_models_were_trained_on(
    each: SourceFilter | FrameFilter, shown: list[int]
) -> None:
    """A spec's id does not tell of another constant: so a filter must not get one."""
    result = only(waves(), each)
    height, width = result.shape[:2]
    found = [
        int(result[row * height // 5, column * width // 5, number % 3])
        for number, (row, column) in enumerate(PLACES)
    ]
    assert found == pytest.approx(shown, abs=1)


def test_a_mask_has_six_cells_along_its_longer_side() -> None:
    """One per two pixels where it is smaller, and at least one: each is a mean of what it hides."""
    for side, cells in ((96, 6), (12, 6), (8, 4), (4, 2), (3, 1), (2, 1), (1, 1)):
        picture = noise(side, side)
        means = [
            picture[r * side // cells : (r + 1) * side // cells,
                    c * side // cells : (c + 1) * side // cells].mean()
            for r, c in ((0, 0), (cells - 1, cells - 1))
        ]  # fmt: skip
        hidden = only(picture, BlurMask())
        assert [hidden[0, 0].mean(), hidden[-1, -1].mean()] == pytest.approx(means, abs=1)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [(0.0, 0.0, (0, 1)), (0.99, 1.0, (9, 10)), (0.5, 0.5, (5, 6)), (0.35, 0.7, (3, 7))],
)
def test_a_rectangle_touches_at_least_one_pixel(
    start: float, end: float, span: tuple[int, int]
) -> None:
    assert _span(10, start, end) == slice(*span)
