"""The short form of `make scale`: the same loop, with few files."""

from pathlib import Path

from tests.scale.media import run
from tests.scale.plot import plot
from tests.scale.watching import Sample, tick_ms
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
