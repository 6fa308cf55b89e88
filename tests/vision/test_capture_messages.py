"""How a stream may be cut: a clip fits into the time from one beginning to the next."""

import pytest
from pydantic import ValidationError

from visionops_assets.vision.capture import messages
from visionops_assets.vision.capture.messages import CutRules


def test_clips_may_follow_each_other_without_a_pause() -> None:
    assert CutRules(every_s=5, clip_s=5).clip_s == 5
    with pytest.raises(ValidationError, match=r"a clip of 5 s does not fit into every 4\.9 s"):
        CutRules(every_s=4.9, clip_s=5)


def test_a_still_has_no_length() -> None:
    assert CutRules(mode="still", every_s=0.2, clip_s=5).every_s == 0.2


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("every_s", 0.2, 86_400), ("clip_s", 0.2, 300)],
)
def test_times_are_from_a_fifth_of_a_second_to_minutes_or_a_day(
    name: str, least: float, most: float
) -> None:
    others = {"every_s": 86_400, "clip_s": 0.2}
    for value in (least, most):
        assert getattr(CutRules.model_validate(others | {name: value}), name) == value
    for value in (least * 0.99, most * 1.01):
        with pytest.raises(ValidationError):
            CutRules.model_validate(others | {name: value})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_some_of_the_picture_must_move_and_not_all(share: float) -> None:
    with pytest.raises(ValidationError):
        CutRules(min_area=share)


def test_by_default_a_clip_of_five_seconds_is_cut_every_ten() -> None:
    assert CutRules() == CutRules(mode="clip", every_s=10, clip_s=5, motion=False, min_area=0.01)


def test_a_cut_is_no_larger_than_an_image_that_ingest_takes() -> None:
    assert messages.MAX_CUT_BYTES == 32 << 20
    assert messages.MAX_PREROLL_S == 60
