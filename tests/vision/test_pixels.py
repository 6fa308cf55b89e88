"""Statistics of pixels: as NumPy has them, without its copies."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from visionops_assets.vision.pixels import LEAST_DEVIATION, channel_statistics

stacks = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.just(3))
)


@given(images=stacks, data=st.data())
def test_they_are_those_of_numpy(images: np.ndarray, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(images) - 1), min_size=1, unique=True))
    pixels = images[rows].reshape(-1, 3) / 255
    mean, deviation = channel_statistics(images, np.array(rows))
    np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=1e-9)
    expected = np.maximum(pixels.std(axis=0), LEAST_DEVIATION)
    np.testing.assert_allclose(deviation, expected, atol=1e-7)


def test_they_take_the_memory_of_some_images_not_of_all() -> None:
    images = np.full((6_000, 64, 64, 3), 7, np.uint8)
    tracemalloc.start()
    channel_statistics(images, np.arange(len(images)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < images.nbytes / 10


def test_one_colour_deviates_by_one_step_of_a_pixel() -> None:
    """Else whoever divides by it would divide by zero."""
    images = np.full((3, 4, 4, 3), (10, 20, 30), np.uint8)
    mean, deviation = channel_statistics(images, np.arange(3))
    assert mean == pytest.approx((10 / 255, 20 / 255, 30 / 255))
    assert deviation == (1 / 255,) * 3
