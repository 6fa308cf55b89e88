"""Dagster's pages as people see them: what the lineage, an asset and the runs tell at first sight.

Pictures go into build/pictures; `make pictures` takes them into the docs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser import running_browser, visit
from visionops_assets.settings import Settings

PICTURES = Path(__file__).parents[2] / "build" / "pictures"
MAX_PICTURE_BYTES = 400_000
LINEAGE_WINDOW = ViewportSize(width=2600, height=1000)
WINDOW = ViewportSize(width=1600, height=1000)
LOAD_TIMEOUT_MS = 60_000
MARGIN_PX = 60
NARROW_NAVIGATION = "localStorage.setItem('dagster-nav-collapsed', 'true')"
ASSETS = "{ assetNodes { assetKey { path } groupName } }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, stack: Settings, request: pytest.FixtureRequest) -> Iterator[Page]:
    window = getattr(request, "param", WINDOW)
    with visit(browser, stack.dagster_url, viewport=window) as visited:
        visited.page.add_init_script(NARROW_NAVIGATION)
        visited.page.set_default_timeout(LOAD_TIMEOUT_MS)
        yield visited.page


def keep(picture: bytes, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(picture)
    assert len(picture) <= MAX_PICTURE_BYTES


def groups_of(stack: Settings) -> dict[str, str]:
    """Return the group of each asset that Dagster knows."""
    asked = httpx.post(f"{stack.dagster_url}/graphql", json={"query": ASSETS}, trust_env=False)
    nodes = asked.raise_for_status().json()["data"]["assetNodes"]
    return {"/".join(node["assetKey"]["path"]): node["groupName"] for node in nodes}


@pytest.mark.parametrize("page", [LINEAGE_WINDOW], indirect=True, ids=["wide"])
def test_the_lineage_shows_every_asset(page: Page, stack: Settings) -> None:
    groups = groups_of(stack)
    unfolded = ",".join(f"global@global:{group}" for group in sorted({*groups.values()}))
    page.goto(f"{stack.dagster_url}/asset-groups/~?{urlencode({'expanded': unfolded})}")
    boxes = []
    for name in groups:
        node = page.get_by_text(name, exact=True)
        expect(node).to_be_visible(timeout=LOAD_TIMEOUT_MS)
        box = node.bounding_box()
        assert box is not None
        boxes.append(box)
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    clip = {
        "x": left - MARGIN_PX,
        "y": top - MARGIN_PX,
        "width": right - left + 2 * MARGIN_PX,
        "height": bottom - top + 2 * MARGIN_PX,
    }
    keep(page.screenshot(clip=json.loads(json.dumps(clip))), "lineage")


def test_a_page_of_an_asset_shows_its_columns_and_counts(page: Page, stack: Settings) -> None:
    page.goto(f"{stack.dagster_url}/assets/dataset_snapshot?view=overview")
    for text in ("split by group", "class_counts", "group_id", "near duplicates"):
        expect(page.get_by_text(text).first).to_be_visible(timeout=LOAD_TIMEOUT_MS)
    keep(page.screenshot(), "asset")


def test_the_runs_tell_what_they_were_about(page: Page, stack: Settings) -> None:
    page.goto(f"{stack.dagster_url}/runs")
    for text in ("process_media", "train_and_release"):
        expect(page.get_by_text(text).first).to_be_visible(timeout=LOAD_TIMEOUT_MS)
    keep(page.screenshot(), "runs")


def test_the_automations_say_what_they_start(page: Page, stack: Settings) -> None:
    page.goto(f"{stack.dagster_url}/automation")
    for text in ("new_labels", "health_schedule"):
        expect(page.get_by_text(text).first).to_be_visible(timeout=LOAD_TIMEOUT_MS)
    keep(page.screenshot(), "automation")
