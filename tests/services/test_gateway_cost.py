"""What a prediction is thought to cost, by the header alone."""

import struct

import cv2
import numpy as np
import pytest

from tests.vision.corpus import picture, saved
from visionops_assets.errors import UnsupportedMediaError
from visionops_assets.services.gateway.cost import BASE_S, predicted_cost_s
from visionops_assets.services.gateway.shares import COSTLY_S

LIMIT = 16_000_000


def png_header(side_px: int, depth: int, colour: int) -> bytes:
    head = struct.pack(">I4sIIBB", 13, b"IHDR", side_px, side_px, depth, colour)
    return b"\x89PNG\r\n\x1a\n" + head


def test_a_small_image_costs_little_in_every_format() -> None:
    for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        image = saved(picture(), name)
        assert BASE_S < predicted_cost_s(image, len(image), LIMIT) < 2 * BASE_S


def test_the_image_that_stopped_serving_is_costly_by_far() -> None:
    cost_s = predicted_cost_s(png_header(7_000, 16, 6), 380_000, 50_000_000)
    assert cost_s == pytest.approx(1.6 * 56 / 33, rel=0.1)
    assert predicted_cost_s(png_header(7_000, 8, 6), 380_000, 50_000_000) < cost_s / 2
    assert cost_s > 20 * COSTLY_S


@pytest.mark.parametrize(
    ("extension", "cost_ms"),
    [(".jpg", 9), (".png", 26), (".webp", 17), (".gif", 19), (".bmp", 6), (".tiff", 59)],
)
def test_each_format_has_its_price(extension: str, cost_ms: float) -> None:
    """Of a megapixel in 100 kB, with 4 ms for the network and the record."""
    image = cv2.imencode(extension, np.zeros((1_000, 1_000, 3), np.uint8))[1].tobytes()
    assert predicted_cost_s(image, 100_000, LIMIT) * 1_000 == pytest.approx(cost_ms)


@pytest.mark.parametrize(("depth", "cost_ms"), [(8, 26), (16, 60)])
def test_a_deep_png_costs_more(depth: int, cost_ms: float) -> None:
    head = png_header(1_000, depth, 2)
    assert predicted_cost_s(head, 100_000, LIMIT) * 1_000 == pytest.approx(cost_ms)


def test_a_size_that_is_not_in_the_head_counts_as_the_largest() -> None:
    tiff = saved(picture(), "TIFF")
    assert predicted_cost_s(tiff[:8] + bytes(24), 100, LIMIT) > COSTLY_S
    assert predicted_cost_s(b"\xff\xd8\xff\xe0\xff\xff", 100, LIMIT) == pytest.approx(
        BASE_S + LIMIT * 3e-9, rel=0.01
    )


def test_what_is_no_image_has_no_cost() -> None:
    with pytest.raises(UnsupportedMediaError):
        predicted_cost_s(b"no image", 8, LIMIT)


def test_only_a_png_is_deep_by_its_25th_byte() -> None:
    image = bytearray(cv2.imencode(".jpg", np.zeros((1_000, 1_000, 3), np.uint8))[1].tobytes())
    costs = []
    for value in (8, 16):
        image[24] = value
        costs.append(predicted_cost_s(bytes(image), 100_000, LIMIT))
    assert costs[0] == costs[1]
