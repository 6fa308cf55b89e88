from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from visionops_assets.vision.health_plots import lines_over_time
from visionops_assets.vision.preprocessing import decode_frame

TIMES = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * i) for i in range(10)]
RISING = [float(i) for i in range(10)]


def ink(values: dict[str, list[float | None]]) -> int:
    """How many pixels are not white."""
    drawn = decode_frame(lines_over_time("latency", "s", TIMES, values))
    return int(np.count_nonzero((drawn < 250).any(axis=2)))


def test_a_gap_is_no_line() -> None:
    whole = ink({"p99": [*RISING]})
    broken = ink({"p99": [None if 2 < i < 8 else value for i, value in enumerate(RISING)]})
    assert broken < whole


def test_every_series_is_drawn() -> None:
    assert ink({"p50": [1.0] * 10, "p99": [*RISING]}) > ink({"p99": [*RISING]})


def test_one_window_can_be_drawn() -> None:
    assert decode_frame(lines_over_time("lag", "", TIMES[:1], {"media 0": [3.0]})).size > 0


@pytest.mark.parametrize("values", [{}, {"p99": [1.0]}])
def test_what_does_not_fit_is_refused(values: dict[str, list[float | None]]) -> None:
    with pytest.raises(ValueError, match="at least one time"):
        lines_over_time("latency", "s", TIMES, values)
