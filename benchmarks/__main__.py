"""`python -m benchmarks [AREA ...]`: measure, write `build/bench/`, show a table.

The exit code is 2 if an area could not be measured, for want of a running stack; what could be
was. A missed goal is a result, not an error.
"""

import argparse
import sys
from collections.abc import Callable, Collection

from rich.console import Console
from rich.markup import escape

from benchmarks import (
    active_learning,
    frames,
    ingest,
    label_quality,
    monitoring,
    serving,
    training,
)
from benchmarks.measure import Figure
from benchmarks.report import REPORT_DIR, figures_table, write_figures
from visionops_assets.errors import VisionOpsError
from visionops_assets.settings import Settings, load_settings

# Ingest comes last: the stack goes on to process what it uploaded.
AREAS: dict[str, Callable[[Settings], list[Figure]]] = {
    "frames": frames.measure,
    "label_quality": label_quality.measure,
    "active_learning": active_learning.measure,
    "monitoring": monitoring.measure,
    "serving": serving.measure,
    "training": training.measure,
    "ingest": ingest.measure,
}


def run(areas: Collection[str], settings: Settings, console: Console) -> int:
    """Measure areas, in the order of `AREAS`; return the exit code."""
    measured: dict[str, list[Figure]] = {}
    for area in (known for known in AREAS if known in areas):
        try:
            with console.status(f"Measuring {area}"):
                measured[area] = AREAS[area](settings)
        except VisionOpsError as error:
            console.print(f"[red]{area} was not measured.[/]", escape(str(error)), highlight=False)
        else:
            write_figures(area, measured[area])
    if measured:
        console.print(figures_table(measured))
        console.print(f"Written to {REPORT_DIR}/", style="dim")
    return 0 if len(measured) == len(areas) else 2


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser("python -m benchmarks")
    known = ", ".join(AREAS)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"{known}; all by default")
    areas = set(parser.parse_args().areas) or set(AREAS)
    if unknown := areas - set(AREAS):
        parser.error(f"no such area: {', '.join(sorted(unknown))}. There are: {known}.")
    # A table that is piped somewhere keeps its columns.
    console = Console(width=None if sys.stdout.isatty() else 200)
    try:
        return run(areas, load_settings(), console)
    except VisionOpsError as error:
        console.print("benchmarks:", escape(str(error)), highlight=False)
        return 2


if __name__ == "__main__":
    sys.exit(main())
