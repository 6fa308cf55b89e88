"""The API page of every service, as a browser shows it on a machine without the internet."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import running_browser, visit
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings

OPERATIONS = {"ingest": "Upload a file", "gateway": "Predict images", "alerts": "Tell of alerts"}
"""Of the others, one that every service has is looked at."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.mark.parametrize("service", [service.name for service in SERVICES if service.addresses])
def test_the_page_shows_the_operations_and_asks_no_other_server(
    stack: Settings, browser: Browser, service: str
) -> None:
    url = str(getattr(stack, f"{service}_url"))
    with visit(browser, url) as visited:
        # The gateway has a page of its own at `/`; elsewhere the bare address leads to this one.
        answer = visited.page.goto(f"{url}/docs" if service == "gateway" else url)
        assert answer is not None
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        operation = OPERATIONS.get(service, "Metrics")
        shown = visited.page.locator(".opblock", has_text=operation)
        expect(shown).to_have_count(1)
        shown.locator("button.opblock-summary-control").click()
        expect(shown.locator(".opblock-body")).to_contain_text("Responses")
    assert visited.foreign == []
    assert visited.complaints == []
