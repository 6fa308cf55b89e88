"""Dagster's pages in a browser: what lineage, assets, runs and automations tell at first sight."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import running_browser
from tests.dagster_pages import PICTURES
from visionops_assets.settings import Settings

BUILD = Path(__file__).parents[2] / "build" / "pictures"
MAX_BYTES = 400_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.mark.parametrize("name", PICTURES)
def test_the_page_tells_at_first_sight(stack: Settings, browser: Browser, name: str) -> None:
    picture = PICTURES[name](browser, stack.dagster_url)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.png").write_bytes(picture)
    assert len(picture) <= MAX_BYTES
