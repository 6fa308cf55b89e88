"""Dagster's pages in a browser: what lineage, assets, runs and automations tell at first sight."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import select

from tests.browser import running_browser
from tests.dagster_pages import PICTURES
from tests.declared import model_of
from tests.integration.test_loop import loop  # noqa: F401
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Release
from visionops_assets.settings import Settings

BUILD = Path(__file__).parents[2] / "build" / "pictures"
MAX_BYTES = 400_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def worked_stack(stack: Settings, request: pytest.FixtureRequest) -> Settings:
    """A stack that has been through the loop: by other tests, or else by this one."""
    with Catalog().begin() as session:
        release = session.scalar(select(Release).where(Release.model_name == model_of(stack).name))
    if release is None:
        request.getfixturevalue("loop")
    return stack


@pytest.mark.parametrize("name", PICTURES)
def test_the_page_tells_at_first_sight(worked_stack: Settings, browser: Browser, name: str) -> None:
    picture = PICTURES[name](browser, worked_stack.dagster_url)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.png").write_bytes(picture)
    assert len(picture) <= MAX_BYTES
