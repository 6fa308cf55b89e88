"""What a prediction is thought to cost, by the header alone."""

import struct

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


def test_a_size_that_is_not_in_the_head_counts_as_the_largest() -> None:
    tiff = saved(picture(), "TIFF")
    assert predicted_cost_s(tiff[:8] + bytes(24), 100, LIMIT) > COSTLY_S
    assert predicted_cost_s(b"\xff\xd8\xff\xe0\xff\xff", 100, LIMIT) == pytest.approx(
        BASE_S + LIMIT * 3e-9, rel=0.01
    )


def test_what_is_no_image_has_no_cost() -> None:
    with pytest.raises(UnsupportedMediaError):
        predicted_cost_s(b"no image", 8, LIMIT)
