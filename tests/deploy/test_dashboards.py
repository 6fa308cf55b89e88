"""The dashboards: what is kept is what is built, and nothing lies on top of anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.monitoring import DASHBOARDS, MONITORING, dashboard, panels

NAMES = {"ingest", "pipeline", "model", "serving"}
GRID_WIDTH = 24


def test_what_is_kept_is_what_is_built(tmp_path: Path) -> None:
    script = MONITORING / "build_dashboards.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    assert {file.stem for file in DASHBOARDS} == NAMES
    for file in DASHBOARDS:
        assert (tmp_path / file.name).read_text() == file.read_text(), "Run `make dashboards`."


@pytest.mark.parametrize("file", DASHBOARDS, ids=[file.stem for file in DASHBOARDS])
def test_panels_say_what_they_show_and_in_which_unit(file: Path) -> None:
    for panel in panels(file):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert panel["targets"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=[file.stem for file in DASHBOARDS])
def test_nothing_lies_on_top_of_anything(file: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard(file)["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRID_WIDTH
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} on {taken[x, y]}"
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=[file.stem for file in DASHBOARDS])
def test_ids_are_those_of_one_panel(file: Path) -> None:
    ids = [panel["id"] for panel in dashboard(file)["panels"]]
    assert len(set(ids)) == len(ids)
    assert dashboard(file)["uid"] == f"visionops-{file.stem}"
