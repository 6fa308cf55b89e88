"""Where each pixel of a picture goes, whichever way it is fitted into its frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.vision.framing import Frame, least_part, preprocess_pixels

SIDES = st.integers(1, 60)


def spec(**given: object) -> PreprocessingSpec:
    return PreprocessingSpec.model_validate({"size_px": 16, **given})


def numbered(height: int, width: int) -> Frame:
    """Return a picture whose red says the column and whose green says the row."""
    picture = np.full((height, width, 3), 9, np.uint8)
    picture[..., 0] = np.arange(width)
    picture[..., 1] = np.arange(height)[:, None]
    return picture


@given(SIDES, SIDES, st.sampled_from(["stretch", "letterbox", "centre_crop"]))
def test_a_frame_is_a_square_of_its_size_without_new_colours(
    height: int, width: int, resize: str
) -> None:
    frame = preprocess_pixels(np.full((height, width, 3), 77, np.uint8), spec(resize=resize))
    assert frame.shape == (16, 16, 3)
    assert set(np.unique(frame)) <= ({77, 0} if resize == "letterbox" else {77})


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [(16, 20, 0, 2), (16, 21, 0, 2), (20, 16, 2, 0), (21, 16, 2, 0), (16, 16, 0, 0)],
)
def test_the_central_square_is_cut_out(height: int, width: int, top: int, left: int) -> None:
    picture = numbered(height, width)
    frame = preprocess_pixels(picture, spec(resize="centre_crop"))
    assert np.array_equal(frame, picture[top : top + 16, left : left + 16])


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [(16, 10, 0, 3), (16, 11, 0, 2), (10, 16, 3, 0), (11, 16, 2, 0), (16, 16, 0, 0)],
)
def test_a_letterbox_has_even_bars(height: int, width: int, top: int, left: int) -> None:
    """And a picture whose longer side is that of the frame keeps its pixels."""
    picture = numbered(height, width)
    frame = preprocess_pixels(picture, spec(resize="letterbox"))
    assert np.array_equal(frame[top : top + height, left : left + width], picture)
    assert np.count_nonzero(frame[..., 2]) == height * width, "all else is black"


def test_a_picture_shrinks_by_the_mean_of_its_pixels() -> None:
    """So that nothing aliases: stripes of single pixels become gray."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert set(np.unique(preprocess_pixels(stripes, spec()))) == {100}
    assert set(np.unique(preprocess_pixels(stripes.transpose(1, 0, 2), spec()))) == {100}


def test_a_picture_of_the_size_of_its_frame_stays_as_it_is() -> None:
    picture = numbered(16, 16)
    for resize in ("stretch", "letterbox", "centre_crop"):
        assert np.array_equal(preprocess_pixels(picture, spec(resize=resize)), picture)
    gray = preprocess_pixels(picture, spec(colour="gray"))
    assert np.array_equal(gray, np.repeat(gray[..., :1], 3, axis=2))


REGION = {"name": "region", "left": 0.25, "top": 0.5, "right": 0.75, "bottom": 0.75}


@pytest.mark.parametrize(
    ("filters", "part"),
    [
        ([], 1.0),
        ([REGION], 0.25),
        ([REGION, {**REGION, "top": 0.0, "bottom": 1.0}], 0.25),
        ([REGION, REGION], 0.0625),
        ([{"name": "sharpen"}], 1.0),
    ],
)
def test_regions_leave_a_part_of_each_side(filters: list[dict[str, object]], part: float) -> None:
    """The smaller one tells how far a picture may be reduced while it is decoded."""
    assert least_part(spec(filters=filters)) == part
