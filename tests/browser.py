"""A headless Chromium for tests of pages: it may ask for nothing but what is under test."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, sync_playwright

PROGRAM = "chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A camera that shows a moving pattern, and is allowed without a question.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run the Chromium that is installed; without one the test is skipped, but for CI."""
    program = shutil.which(PROGRAM)
    if program is None and "CI" not in os.environ:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """One page, what it asked other origins for, and what it complained of."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, *origins: str, **options: Any) -> Iterator[Visit]:
    """Open a page for these origins. What it asks others for is refused and noted."""
    context = browser.new_context(**options)
    visit = Visit(context.new_page())

    def guard(route: Route, request: Request) -> None:
        if request.url.startswith(origins) or urlsplit(request.url).scheme in {"blob", "data"}:
            route.continue_()
        else:
            visit.foreign.append(request.url)
            route.abort()

    context.route("**/*", guard)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on(
        "console",
        lambda message: visit.complaints.append(message.text) if message.type == "error" else None,
    )
    yield visit
    context.close()
