"""Dagster's pages as people see them. Each function opens one, looks, and returns a picture of it.

Tests take them of their stack into `build/`, `make pictures` of a running one into the docs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, FloatRect, Page, expect

from tests.browser import visit

WAIT_MS = 60_000
WINDOW = {"width": 1600, "height": 1000}
TALL_WINDOW = {"width": 1600, "height": 1500}
MARGIN_PX = 40
STATES_MS = 5_000
"""The states of assets, by which their boxes are coloured, come in pages after the boxes."""
# From top to bottom, the names of all assets can be read in a page of the documentation.
PREFERENCES = """
    localStorage.setItem("dagster-nav-collapsed", "true");
    localStorage.setItem("asset-graph-direction", JSON.stringify("vertical"));
    localStorage.setItem("asset-node-facets", "[]");
"""
ASSETS = "{ assetNodes { assetKey { path } groupName } }"


def lineage(browser: Browser, url: str) -> bytes:
    """Unfold all groups of the lineage, and see that every asset is there."""
    groups = groups_by_asset(url)
    unfolded = ",".join(f"global@global:{group}" for group in sorted({*groups.values()}))
    query = urlencode({"expanded": unfolded})
    with _opened(browser, url, f"/asset-groups/~?{query}") as page:
        boxes = [_box(page, name) for name in groups]
        page.wait_for_timeout(STATES_MS)
        return page.screenshot(clip=_around(boxes))


def snapshot(browser: Browser, url: str) -> bytes:
    """See that the page of an asset shows columns with meanings, and a chart without a click."""
    with _opened(
        browser, url, "/assets/classifier/dataset_snapshot?view=overview", TALL_WINDOW
    ) as page:
        for text in ("Frozen dataset", "near duplicates", "class_counts", "\N{FULL BLOCK}" * 5):
            _see(page, text)
        return page.screenshot()


def runs(browser: Browser, url: str) -> bytes:
    """See that the list of runs tells what they were about."""
    with _opened(browser, url, "/runs") as page:
        for text in ("process_media", "classifier__train_and_release", "visionops/snapshot_id"):
            _see(page, text)
        return page.screenshot()


def sensor(browser: Browser, url: str) -> bytes:
    """See that sensors and schedules are listed, and that one says what starts it."""
    with _opened(browser, url, "/automation") as page:
        for text in ("classifier__new_snapshot", "health_schedule"):
            _see(page, text)
        page.get_by_text("classifier__new_labels", exact=True).first.click()
        _see(page, "Starts classifier__build_dataset when")
        return page.screenshot()


PICTURES = {"lineage": lineage, "asset": snapshot, "runs": runs, "sensor": sensor}


def groups_by_asset(url: str) -> dict[str, str]:
    """Return the group of each asset that Dagster knows."""
    answer = httpx.post(f"{url}/graphql", json={"query": ASSETS}, trust_env=False)
    nodes = answer.raise_for_status().json()["data"]["assetNodes"]
    return {"/".join(node["assetKey"]["path"]): node["groupName"] for node in nodes}


@contextmanager
def _opened(
    browser: Browser, url: str, path: str, window: dict[str, int] = WINDOW
) -> Iterator[Page]:
    with visit(browser, url, viewport=window) as visited:
        visited.page.add_init_script(PREFERENCES)
        visited.page.goto(url + path)
        yield visited.page


def _see(page: Page, text: str) -> None:
    expect(page.get_by_text(text).first).to_be_visible(timeout=WAIT_MS)


def _box(page: Page, name: str) -> FloatRect:
    """Wait for an asset of the graph, and say where it is.

    In its small boxes Dagster shows the last part of a key.
    """
    node = page.get_by_text(name.rpartition("/")[2], exact=True).last
    expect(node).to_be_visible(timeout=WAIT_MS)
    box = node.bounding_box()
    assert box is not None
    return box


def _around(boxes: list[FloatRect]) -> FloatRect:
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    return {
        "x": left - MARGIN_PX,
        "y": top - MARGIN_PX,
        "width": right - left + 2 * MARGIN_PX,
        "height": bottom - top + 2 * MARGIN_PX,
    }
