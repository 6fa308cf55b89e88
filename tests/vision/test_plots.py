from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from visionops_assets.tasks.classification.plots import confusion
from visionops_assets.vision import plots
from visionops_assets.vision.preprocessing import Frame, decode_frame
from visionops_assets.vision.recipe import RoundResult

FRAMES = [np.full((16, 16, 3), level, np.uint8) for level in (0, 60, 120, 180, 240)]


def test_a_montage_shows_every_frame_in_order() -> None:
    red, green = (np.full((16, 16, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0)))
    picture = decode_frame(plots.montage([red, green, red], columns=2))
    height, width, _ = picture.shape
    assert picture[height // 4, width // 4].tolist() == [255, 0, 0]
    assert picture[height // 4, 3 * width // 4].tolist() == [0, 255, 0]
    assert picture[3 * height // 4, width // 4].tolist() == [255, 0, 0]
    assert picture[3 * height // 4, 3 * width // 4].tolist() == [255, 255, 255]


def test_titles_need_room_and_must_match() -> None:
    plain, titled = (
        decode_frame(plots.montage(FRAMES, titles)) for titles in (None, ["a", "b", "c", "d", "e"])
    )
    assert titled.shape[0] > plain.shape[0]
    with pytest.raises(ValueError, match="1 titles for 5 frames"):
        plots.montage(FRAMES, ["a"])


def rounds(count: int) -> list[RoundResult]:
    return [
        RoundResult(i + 1, 2 / (i + 1), 2.2 / (i + 1), i / count, 1e-3, 0.5) for i in range(count)
    ]


def ink(png: bytes) -> Frame:
    """Return the colours a picture uses, one a row."""
    picture = decode_frame(png).reshape(-1, 3)
    _, first = np.unique(picture @ np.array([1 << 16, 1 << 8, 1]), return_index=True)
    return picture[first]


START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "draw",
    [
        partial(plots.training_curves, rounds(1)),
        partial(plots.training_curves, rounds(12)),
        partial(confusion, np.array([[3, 1], [0, 0]]), ["cat", "dog"]),
        partial(confusion, np.eye(40, dtype=np.int64), [f"class {i}" for i in range(40)]),
        partial(plots.accuracy_over_time, [START], [0.9], [0.8], [1.0]),
        partial(
            plots.accuracy_over_time,
            [START + timedelta(days=i) for i in range(3)],
            [0.9, 0.8, 0.7],
            [0.8, 0.7, 0.6],
            [1.0, 0.9, 0.8],
        ),
    ],
)
def test_every_plot_draws_without_a_warning(draw: "partial[bytes]") -> None:
    assert len(ink(draw())) > 10


def test_right_answers_are_blue_and_wrong_ones_red() -> None:
    blue, red = (
        ink(confusion(np.array(matrix), ["a", "b"])).astype(int)
        for matrix in ([[5, 0], [0, 5]], [[0, 5], [5, 0]])
    )
    assert (blue[:, 2] - blue[:, 0]).max() > 80
    assert (blue[:, 0] - blue[:, 2]).max() < 20
    assert (red[:, 0] - red[:, 2]).max() > 80


@pytest.mark.parametrize(
    "draw",
    [
        partial(plots.montage, []),
        partial(plots.training_curves, []),
        partial(plots.accuracy_over_time, [], [], [], []),
    ],
)
def test_nothing_to_draw_is_an_error(draw: "partial[bytes]") -> None:
    with pytest.raises(ValueError, match=r"at least one|no "):
        draw()


def test_error_distributions_show_both_and_bear_zeros() -> None:
    errors = {
        "onnx-fp32": np.array([0, 1e-7], np.float32),
        "onnx-int8": np.array([0.01, 0.2], np.float32),
    }
    one = plots.error_distributions({"onnx-fp32": errors["onnx-fp32"]})
    both = plots.error_distributions(errors)
    assert decode_frame(both).shape == decode_frame(one).shape
    orange = [0xDD, 0x6B, 0x20]
    assert orange in ink(both).tolist()
    assert orange not in ink(one).tolist()
    for nothing in ({}, {"onnx-fp32": np.zeros(0, np.float32)}):
        with pytest.raises(ValueError, match="at least one"):
            plots.error_distributions(nothing)
