"""The picture of frames' quality, looked at pixel by pixel."""

import numpy as np
import pandas as pd
import pytest

from visionops_assets.vision.monitoring.quality import FRAME_MEASURES
from visionops_assets.vision.preprocessing import decode_frame
from visionops_assets.vision.quality_plots import MOST_SOURCES, quality_by_source


def frames(sources: int, rows: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = [f"camera-{number}" for number in range(sources) for _ in range(rows)]
    return pd.DataFrame({"source": names} | {m: rng.random(len(names)) for m in FRAME_MEASURES})


@pytest.mark.parametrize("sources", [1, 3, MOST_SOURCES])
def test_each_source_has_a_row(sources: int) -> None:
    one, all_of_them = (decode_frame(quality_by_source(frames(count))) for count in (1, sources))
    assert all_of_them.shape[1] == one.shape[1]
    assert all_of_them.shape[0] - one.shape[0] == pytest.approx(42 * (sources - 1), abs=4)
    blue = np.all(np.abs(all_of_them.astype(int) - (0x2B, 0x6C, 0xB0)) < 12, axis=2)
    assert blue.sum() > 500 * sources


def test_many_sources_share_the_last_row() -> None:
    most, more = (
        decode_frame(quality_by_source(frames(count, rows=3)))
        for count in (MOST_SOURCES, 3 * MOST_SOURCES)
    )
    assert most.shape[0] == more.shape[0]


def test_one_frame_is_drawn_too() -> None:
    assert decode_frame(quality_by_source(frames(1, rows=1))).std() > 0
