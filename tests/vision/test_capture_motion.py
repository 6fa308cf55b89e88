import numpy as np
import pytest

from tests.vision.camera_files import scene
from visionops_assets.vision.capture.motion import (
    PICTURES_HZ,
    WARM_UP_PICTURES,
    WIDTH_PX,
    Gray,
    MotionDetector,
)

HEIGHT_PX = 90


def wall(level: int = 90) -> Gray:
    noise = np.random.default_rng(level).integers(-3, 4, (HEIGHT_PX, WIDTH_PX))
    return (level + noise).astype(np.uint8)


def with_thing(width_px: int, left: int = 20) -> Gray:
    picture = wall()
    picture[30 : 30 + width_px, left : left + width_px] = 240
    return picture


@pytest.fixture
def detector() -> MotionDetector:
    """One that has seen the wall for long enough."""
    return settled(MotionDetector(0.01))


def settled(detector: MotionDetector) -> MotionDetector:
    for number in range(3 * WARM_UP_PICTURES):
        detector.observe(wall(90 + number % 2), number / PICTURES_HZ)
        assert not detector.is_moving(number / PICTURES_HZ)
    return detector


def test_noise_is_no_motion_but_a_thing_that_comes_is(detector: MotionDetector) -> None:
    detector.observe(with_thing(30), 10.0)
    assert detector.is_moving(10.0)


def test_what_is_smaller_than_the_share_is_no_motion() -> None:
    share = 20 * 20 / (WIDTH_PX * HEIGHT_PX)
    for min_area, is_moving in ((share * 1.5, False), (share * 0.7, True)):
        detector = settled(MotionDetector(min_area))
        detector.observe(with_thing(20), 10.0)
        assert detector.is_moving(10.0) is is_moving


def test_motion_lasts_over_a_pause_and_then_ends(detector: MotionDetector) -> None:
    detector.observe(with_thing(30), 10.0)
    detector.observe(wall(), 10.2)
    assert detector.is_moving(11.9)
    assert not detector.is_moving(12.0)


def test_motion_goes_on_at_a_share_at_which_it_would_not_begin() -> None:
    small = 24 * 24 / (WIDTH_PX * HEIGHT_PX)
    detector = settled(MotionDetector(small * 1.4))
    detector.observe(with_thing(24), 10.0)
    assert not detector.is_moving(10.0)
    detector.observe(with_thing(50), 10.2)
    detector.observe(with_thing(24, left=100), 12.1)
    assert detector.is_moving(13.2)


def test_nothing_moves_while_the_background_is_learnt() -> None:
    detector = MotionDetector(0.01)
    for number, picture in enumerate(scene(0.5, moves_from_s=0, size=(WIDTH_PX, HEIGHT_PX))):
        detector.observe(picture[..., 0].copy(), number / PICTURES_HZ)
        assert not detector.is_moving(number / PICTURES_HZ)


def test_a_few_pictures_a_second_are_enough() -> None:
    detector = MotionDetector(0.01)
    seen = 0
    for number in range(100):
        if detector.wants(number / 25):
            detector.observe(wall(), number / 25)
            seen += 1
    assert seen == pytest.approx(4 * 5, abs=4)


@pytest.mark.parametrize(("learnt", "is_moving"), [(14, False), (15, True)])
def test_fifteen_pictures_make_a_background(learnt: int, is_moving: bool) -> None:
    detector = MotionDetector(0.01)
    for number in range(learnt):
        detector.observe(wall(90 + number % 2), number / PICTURES_HZ)
    detector.observe(with_thing(30), 10.0)
    assert detector.is_moving(10.0) is is_moving
