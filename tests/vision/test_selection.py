"""Some of many images are those of the array, however they are chosen again."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.selection import Selection, select

IMAGES = np.arange(20 * 4 * 4 * 3, dtype=np.uint8).reshape(20, 4, 4, 3)


@given(
    first=st.lists(st.booleans(), min_size=20, max_size=20),
    data=st.data(),
)
def test_a_selection_is_what_the_array_would_give(first: list[bool], data: st.DataObject) -> None:
    chosen, expected = select(IMAGES, np.array(first)), IMAGES[np.array(first)]
    again = np.array(data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen))))
    both = select(chosen, again.astype(bool))
    assert both.images is IMAGES
    np.testing.assert_array_equal(both[:], expected[again.astype(bool)])
    np.testing.assert_array_equal(np.asarray(chosen), expected)
    np.testing.assert_array_equal(chosen[2:7], expected[2:7])
    assert len(both) == again.sum()
    if len(chosen):
        np.testing.assert_array_equal(chosen[len(chosen) - 1], expected[-1])
        np.testing.assert_array_equal(chosen[np.array([0, 0])], expected[[0, 0]])


def test_choosing_copies_no_pixel() -> None:
    images = np.zeros((1000, 32, 32, 3), np.uint8)
    tracemalloc.start()
    chosen = select(images, np.ones(1000, np.bool_))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(chosen, Selection)
    assert peak_bytes < images.nbytes / 50
