"""Builds the Grafana dashboards: `python deploy/monitoring/build_dashboards.py [FOLDER]`.

They are kept in `dashboards/`, so that Grafana needs nothing of this; a test compares.
"""

import sys
from pathlib import Path

import ingest_board
import model_board
import pipeline_board
import serving_board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = {
    "ingest": ingest_board.build,
    "pipeline": pipeline_board.build,
    "model": model_board.build,
    "serving": serving_board.build,
}


def as_json(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana reads it, its panels numbered in their order."""
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


def main() -> None:
    """Write every dashboard into the folder that is given, or the one where they are kept."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards"
    folder.mkdir(exist_ok=True)
    for name, build in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(as_json(build()))


if __name__ == "__main__":
    main()
