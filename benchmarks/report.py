"""Writes figures to `build/bench/<area>.json`, and shows them with their goals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from benchmarks.measure import Figure

REPORT_DIR = Path("build/bench")


def write_figures(area: str, figures: Sequence[Figure], folder: Path = REPORT_DIR) -> None:
    """Write the figures of one area, in place of those of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [asdict(figure) for figure in figures]
    (folder / f"{area}.json").write_text(json.dumps(records, indent=2) + "\n")


def figures_table(figures_by_area: Mapping[str, Sequence[Figure]]) -> Table:
    """Lay the figures out; a missed goal is a row like any other."""
    table = Table(title="Ours against the limit", title_justify="left")
    for column in ("area", "figure", "limit"):
        table.add_column(column, overflow="fold")
    for column in ("ours", "limit", "unit", "ratio", "spread", "goal"):
        table.add_column(column, justify="right")
    table.add_column("")
    for area, figures in figures_by_area.items():
        for figure in figures:
            table.add_row(area, *_cells(figure))
    return table


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        figure.limit_name,
        f"{figure.value:,.1f}",
        f"{figure.limit:,.1f}",
        figure.unit,
        f"{figure.ratio:.2f}",
        f"{figure.spread:.2f}",
        f"{figure.goal:.2f}",
        "[green]met[/]" if figure.is_met else "[red]missed[/]",
    )
