import json
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Figure
from benchmarks.report import figures_table, write_figures

MET = Figure("small", 80.0, "frames/s", 100.0, "in-process", 0.8, 0.7, 5, 0.1)
MISSED = Figure("large", 50.0, "frames/s", 100.0, "in-process", 0.5, 0.9, 5, 0.1)


def test_written_figures_have_the_keys_of_the_design(tmp_path: Path) -> None:
    write_figures("frames", [MET, MISSED], tmp_path / "bench")
    first, second = json.loads((tmp_path / "bench" / "frames.json").read_text())
    assert first == {
        "name": "small",
        "value": 80.0,
        "unit": "frames/s",
        "limit": 100.0,
        "limit_name": "in-process",
        "ratio": 0.8,
        "goal": 0.7,
        "repeats": 5,
        "spread": 0.1,
    }
    assert second["name"] == "large"


def test_table_shows_goals_met_and_missed() -> None:
    console = Console(width=150)
    with console.capture() as capture:
        console.print(figures_table({"frames": [MET, MISSED]}))
    lines = capture.get().splitlines()
    (small,) = [line for line in lines if "small" in line]
    (large,) = [line for line in lines if "large" in line]
    assert "met" in small
    assert "missed" in large
