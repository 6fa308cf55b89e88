"""The short forms of `make scale`: the same work, with few files and few rows."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.scale import data
from tests.scale.media import run
from tests.scale.plot import plot
from tests.scale.watching import Sample, tick_ms
from visionops_assets.catalog.connection import Catalog
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings


def test_a_run_is_measured(stack: Settings, tmp_path: Path) -> None:
    shown: list[Sample] = []
    figures, samples = run(stack, tmp_path, [60, 60], shown.append)
    assert figures.media == 120
    assert figures.media_per_minute > 60
    assert figures.cost_ms_first > 1
    assert figures.cost_ms_last > 1
    assert {
        "dagster-code",
        "ingest",
        "postgresql",
        "supervisor",
    } <= figures.peak_mb_by_server.keys()
    assert all(mb > 1 for mb in figures.peak_mb_by_server.values()), figures.peak_mb_by_server
    assert figures.page_ms_last > 0
    assert figures.tick_ms_last > 0
    assert samples[-1].processed - samples[0].processed == 120
    assert plot(samples, tick_ms(stack)).startswith(b"\x89PNG")


def test_work_on_many_rows_is_measured_and_leaves_nothing(stack: Settings, tmp_path: Path) -> None:
    figures = data.run(stack, tmp_path, 4_000, data.ALL_IN_ONE)
    assert (figures.frames, figures.predictions) == (4_999, 8_000)
    assert figures.missed == []
    assert 0 < figures.labels_s + figures.cut_s == pytest.approx(figures.snapshot_s, abs=0.02)
    assert figures.snapshot_peak_mb == max(figures.labels_peak_mb, figures.cut_peak_mb) > 50
    assert figures.loader_peak_mb > 50
    assert figures.loader_frames == 64 * 500
    assert 0 < figures.trace_s_max < 1
    assert figures.traces == 60
    with Catalog().begin() as session:
        schemas = session.execute(text("SELECT nspname FROM pg_namespace")).scalars()
        assert not [name for name in schemas if name.startswith("made_")]
    assert ObjectStore().list_keys("frames/made/") == []
