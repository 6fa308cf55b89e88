"""Small images, imported and processed by a whole stack: what each costs, first and last."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.scale.figures import Figures, Part, figures_of
from tests.scale.pictures import write_pictures
from tests.scale.watching import Sample, sample, tick_ms, watch
from visionops_assets.catalog import media
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import MediaStatus
from visionops_assets.settings import Settings

POLL_S = 1.0
PATIENCE_S = 300.0
"""How long nothing may be processed."""


def run(
    settings: Settings, folder: Path, sizes: list[int], show: Callable[[Sample], None]
) -> tuple[Figures, list[Sample]]:
    """Import and process parts of these numbers of files, one after the other, and measure."""
    for number, size in enumerate(sizes):
        write_pictures(folder / str(number), size, seed=number)
    parts = []
    with watch(settings, show) as samples:
        for number, size in enumerate(sizes):
            before = sample(settings)
            known = len(samples)
            _import(folder / str(number))
            after = _processed(settings, before, size)
            parts.append(Part(size, [before, *samples[known:], after]))
    return figures_of(parts, tick_ms(settings)), [each for part in parts for each in part.samples]


def _import(folder: Path) -> None:
    command = [sys.executable, "-m", "visionops_assets", "import", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _processed(settings: Settings, before: Sample, count: int) -> Sample:
    """Wait until this number of media more is processed, and none refused."""
    last, last_at_s = -1, time.monotonic()
    while True:
        with Catalog().begin() as session:
            by_status = media.count_by_status(session)
        assert by_status[MediaStatus.QUARANTINED] == before.refused
        processed = by_status[MediaStatus.PROCESSED]
        if processed >= before.processed + count:
            return sample(settings)
        if processed > last:
            last, last_at_s = processed, time.monotonic()
        assert time.monotonic() < last_at_s + PATIENCE_S, (
            f"{last - before.processed} of {count} were processed"
        )
        time.sleep(POLL_S)
