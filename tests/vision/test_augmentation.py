"""What training images may become, and what they may not."""

from typing import Any

import pytest
import torch
from torch import Tensor

from visionops_assets.vision.augmentation import augment
from visionops_assets.vision.recipe import Augmentation

NOTHING = Augmentation(crop=0, shift=0, zoom=0, rotation_deg=0, brightness=0, colour=0, flip="none")


def only(**changed: Any) -> Augmentation:
    return NOTHING.model_copy(update=changed)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def ramp() -> Tensor:
    """200 images, 32 px, that grow evenly from -1 at the left to 1 at the right."""
    return torch.linspace(-1, 1, 32).expand(200, 3, 32, 32).clone()


def test_without_any_change_images_stay(ramp: Tensor) -> None:
    torch.testing.assert_close(augment(ramp, NOTHING), ramp, atol=1e-5, rtol=0)


def test_nothing_is_mirrored_or_turned_over_by_default(ramp: Tensor) -> None:
    changed = augment(ramp, Augmentation())
    rises = changed[:, :, :, 24:].mean((1, 2, 3)) - changed[:, :, :, :8].mean((1, 2, 3))
    assert (rises > 0.5).all()


def test_half_of_the_images_are_mirrored_if_asked_for(ramp: Tensor) -> None:
    changed = augment(ramp, only(flip="horizontal"))
    mirrored = [torch.allclose(image, ramp[0].flip(2), atol=1e-5) for image in changed]
    assert 0.35 < sum(mirrored) / len(mirrored) < 0.65
    same = [torch.allclose(image, ramp[0], atol=1e-5) for image in changed]
    assert sum(mirrored) + sum(same) == len(changed)


def test_a_shift_moves_by_the_stated_share_of_the_width(ramp: Tensor) -> None:
    changed = augment(ramp, only(shift=0.1))
    moved = (changed - ramp)[:, 0, 16, 16] / 2  # the ramp runs over 2
    assert 0.08 < moved.abs().max() < 0.11
    assert moved.min() < 0 < moved.max()


def test_a_crop_stays_within_the_picture(ramp: Tensor) -> None:
    """A smaller part of the ramp is seen: the slope falls, nothing is beyond the ends."""
    changed = augment(ramp, only(crop=0.3))
    span = changed[:, 0, 16, -1] - changed[:, 0, 16, 0]
    assert 1.3 < span.min() < 1.5
    assert span.max() <= 2
    assert changed.abs().max() <= 1 + 1e-5


@pytest.mark.parametrize(
    "by",
    [only(brightness=0.2), only(colour=0.2)],
)
def test_light_and_colour_change_within_bounds_and_move_nothing(
    ramp: Tensor, by: Augmentation
) -> None:
    changed = augment(ramp, by)
    assert 0.1 < (changed - ramp).abs().max() < 0.41
    torch.testing.assert_close(changed.std(2), torch.zeros(200, 3, 32), atol=1e-5, rtol=0)
    assert (changed.diff(dim=3) > 0).all()


def test_colour_changes_channels_apart_and_brightness_all_alike(ramp: Tensor) -> None:
    alike = augment(ramp, only(brightness=0.2))
    torch.testing.assert_close(alike[:, 0], alike[:, 1])
    apart = augment(ramp, only(colour=0.2))
    assert (apart[:, 0] - apart[:, 1]).abs().amax((1, 2)).min() > 0
