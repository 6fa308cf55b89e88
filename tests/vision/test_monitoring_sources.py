"""Sources whose frames show nothing: which are told of, and which are not."""

from typing import Any

import pandas as pd
import pytest

from visionops_assets.vision.monitoring.sources import frozen, shows_nothing

GOOD = {"brightness": 0.5, "contrast": 0.2, "sharpness": 2.0, "noise": 0.01}


def table(*rows: tuple[str, int, dict[str, Any]]) -> pd.DataFrame:
    """Return frames, a number per source. Each has a hash of its own, unless one is given."""
    frames = [
        {"source": source, "perceptual_hash": f"{source}-{number}", **GOOD, **changed}
        for source, count, changed in rows
        for number in range(count)
    ]
    return pd.DataFrame(frames, columns=["source", "perceptual_hash", *GOOD])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"contrast": 0.009}, "gate: 3 of 10 frames are blank."),
        ({"contrast": 0.009, "brightness": 0.0}, "gate: 3 of 10 frames are blank."),
        ({"brightness": 0.029}, "gate: 3 of 10 frames are too dark."),
        ({"brightness": 0.971}, "gate: 3 of 10 frames are too bright."),
        ({"contrast": 0.01, "brightness": 0.029}, "gate: 3 of 10 frames are too dark."),
        ({"contrast": 0.01, "brightness": 0.971}, "gate: 3 of 10 frames are too bright."),
        ({"contrast": 0.01, "brightness": 0.03}, None),
        ({"brightness": 0.97}, None),
    ],
)
def test_a_source_that_shows_nothing_is_named(changed: dict[str, float], said: str | None) -> None:
    frames = table(("gate", 7, {}), ("gate", 3, changed), ("door", 50, {}))
    assert [str(each) for each in shows_nothing(frames)] == ([said] if said else [])


def test_a_few_bad_frames_are_no_fault() -> None:
    blank = {"contrast": 0.0}
    assert shows_nothing(table(("gate", 8, {}), ("gate", 2, blank))) == []
    assert shows_nothing(table(("gate", 4, blank))) == []
    assert len(shows_nothing(table(("gate", 5, blank)))) == 1
    assert shows_nothing(table()) == frozen(table()) == []


def test_a_camera_that_repeats_one_frame_is_frozen() -> None:
    same = {"perceptual_hash": "same"}
    frames = table(("gate", 3, {}), ("door", 20, {}), ("gate", 10, same))
    assert [str(each) for each in frozen(frames)] == ["gate: 10 of 13 frames are the same one."]
    assert len(frozen(table(("gate", 10, same)))) == 1
    assert frozen(table(("gate", 9, same))) == []
    assert frozen(table(("gate", 10, same), ("gate", 1, {}))) == []


@pytest.mark.parametrize("measure", ["brightness", "sharpness", "noise"])
def test_a_scene_that_stands_still_is_not_frozen(measure: str) -> None:
    """Its hash may stay for hours, its noise does not."""
    rows = [("gate", 1, {"perceptual_hash": "same", measure: 0.5 + n / 10**6}) for n in range(20)]
    assert frozen(table(*rows)) == []


def test_a_frame_of_the_least_contrast_is_none_that_is_blank() -> None:
    same = {"perceptual_hash": "same", "contrast": 0.01}
    assert [str(each) for each in frozen(table(("gate", 10, same)))] == [
        "gate: 10 of 10 frames are the same one."
    ]


def test_blank_frames_are_not_frozen_as_well() -> None:
    assert frozen(table(("gate", 20, {"perceptual_hash": "0" * 16, "contrast": 0.0}))) == []
