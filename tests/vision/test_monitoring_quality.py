import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.monitoring.quality import (
    FRAME_MEASURES,
    QUALITY_MEASURES,
    measure_frame,
    measure_quality,
)
from visionops_assets.vision.preprocessing import Frame

RNG = np.random.default_rng(0)


def measured(frame: npt.NDArray[np.generic]) -> dict[str, float]:
    levels = np.clip(np.rint(frame.astype(np.float64)), 0, 255).astype(np.uint8)
    return dict(zip(QUALITY_MEASURES, measure_quality(levels), strict=True))


def gray(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.repeat(levels[..., None], 3, axis=2)


# A smooth scene with one edge.
SCENE = gray(
    120 + 40 * np.sin(np.linspace(0, 6, 96))[:, None] + np.where(np.arange(96) < 48, 0.0, 50.0)
)


def test_a_flat_frame_has_brightness_alone() -> None:
    assert measured(np.full((32, 32, 3), 51)) == {
        "brightness": pytest.approx(0.2),
        "contrast": 0.0,
        "sharpness": -3.0,
        "noise": 0.0,
    }


def test_contrast_is_the_deviation_of_luma() -> None:
    half = np.zeros((16, 16, 3))
    half[:8] = 255
    assert measured(half)["contrast"] == pytest.approx(0.5)


def test_luma_weighs_colours_as_rec_601_does() -> None:
    red = np.zeros((8, 8, 3))
    red[..., 0] = 255
    assert measured(red)["brightness"] == pytest.approx(0.299, abs=2e-3)


@pytest.mark.parametrize("deviation", [2.0, 5.0, 12.0])
def test_noise_is_found_in_spite_of_the_scene(deviation: float) -> None:
    noise = gray(deviation * RNG.standard_normal((96, 96)))
    assert measured(SCENE + noise)["noise"] * 255 == pytest.approx(deviation, rel=0.1)


def test_noise_is_not_sought_at_the_border() -> None:
    """Of y * x^2 the kernel sees nothing but at the border, where it sees mirrored pixels."""
    rows, columns = np.arange(8.0)[:, None], np.arange(6.0)
    curved = gray(rows * columns**2)
    assert measured(curved)["noise"] == 0
    assert measured(curved.transpose(1, 0, 2))["noise"] == 0
    levels = curved[..., 0].astype(np.uint8)
    kernel = np.array([1.0, -2.0, 1.0])
    assert np.abs(cv2.sepFilter2D(levels, cv2.CV_16S, kernel, kernel)).sum() > 0


def test_sharpness_is_the_logarithm_of_the_variance_of_the_laplacian() -> None:
    frame = RNG.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    laplacian = cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_64F)
    assert measured(frame)["sharpness"] == pytest.approx(np.log10(laplacian.var()))


def test_each_damage_moves_the_measure_that_is_named_for_it() -> None:
    textured = SCENE + gray(10 * RNG.standard_normal((96, 96)))
    healthy = measured(textured)
    assert measured(cv2.GaussianBlur(textured, (0, 0), 2))["sharpness"] < healthy["sharpness"] - 1
    assert measured(textured / 2)["brightness"] < 0.6 * healthy["brightness"]
    flattened = measured(128 + (textured - 128) / 3)
    assert flattened["contrast"] == pytest.approx(healthy["contrast"] / 3, rel=0.05)


@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 2**32 - 1))
def test_measures_stay_in_their_ranges(height: int, width: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    brightness, contrast, sharpness, noise = measure_quality(frame)
    assert 0 <= brightness <= 1
    assert 0 <= contrast <= 0.5
    assert -3 <= sharpness <= 7
    assert 0 <= noise < 1
    assert measure_quality(frame) == (brightness, contrast, sharpness, noise)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((2, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_what_is_no_frame_is_refused(frame: Frame) -> None:
    with pytest.raises(ValueError, match="frame"):
        measure_quality(frame)


@pytest.mark.parametrize(
    ("levels", "bits"), [([7], 0), ([0, 255], 1), ([1, 2, 3, 4], 2), (list(range(256)), 8)]
)
def test_entropy_is_the_bits_that_tell_a_level(levels: list[int], bits: float) -> None:
    frame = np.resize(np.array(levels, np.uint8), (16, 16, 1)).repeat(3, 2)
    found = dict(zip(FRAME_MEASURES, measure_frame(frame), strict=True))
    assert found["entropy"] == pytest.approx(bits)
    assert tuple(found.values())[:-1] == measure_quality(frame)
