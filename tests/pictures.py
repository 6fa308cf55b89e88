"""`python -m tests.pictures`: the documentation's pictures, of the stack that runs here.

They are taken in headless Chromium, as a user would see it after `make demo`, and go to
`docs/assets`.
"""

from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, FilePayload, expect

from tests import dagster_pages
from tests.browser import running_browser, visit
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.sign_in import create_link
from visionops_assets.demo.media import DemoFile, digits
from visionops_assets.settings import load_settings
from visionops_assets.vision.preprocessing import decode_frame, encode_frame

FOLDER = Path(__file__).parents[1] / "docs" / "assets"
MAX_BYTES = 400_000
WAIT_MS = 30_000
SHOWN_SIZE_PX = 360
# Of the digits that the demo holds back: one that is easy to read.
LABEL = "3"
WINDOW = {"width": 1080, "height": 800}


def gateway_page(browser: Browser, path: Path) -> None:
    """Take the gateway's page after an answer, and after it was told what it really was."""
    url = load_settings().gateway_url
    with Catalog().begin() as session:
        link = create_link(session, url).get_secret_value()
    _, held_back = digits()
    digit = next(file for file in held_back if file.label == LABEL)
    with visit(browser, url, viewport=WINDOW, color_scheme="light") as visited:
        page = visited.page
        page.goto(link)
        page.set_input_files("#file", enlarged(digit))
        expect(page.locator("#frame")).to_be_visible(timeout=WAIT_MS)
        page.locator("#choices button", has_text=LABEL).first.click()
        expect(page.locator("#thanks")).to_be_visible()
        page.screenshot(path=path, full_page=True)


def enlarged(digit: DemoFile) -> FilePayload:
    """Draw the scan of 8 x 8 pixels larger, so that people can read it."""
    size = (SHOWN_SIZE_PX, SHOWN_SIZE_PX)
    smooth = cv2.resize(decode_frame(digit.data), size, interpolation=cv2.INTER_CUBIC)
    image = encode_frame(np.asarray(smooth, np.uint8))
    return FilePayload(name=digit.name, mimeType="image/png", buffer=image)


def main() -> None:
    """Take all pictures.

    Raises:
        AssertionError: the page did not show what it should, or a picture is too large.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running_browser() as browser:
        path = FOLDER / "gateway.png"
        gateway_page(browser, path)
        paths = [path]
        for name, take in dagster_pages.PICTURES.items():
            paths.append(FOLDER / f"{name}.png")
            paths[-1].write_bytes(take(browser, load_settings().dagster_url))
    for path in paths:
        assert path.stat().st_size < MAX_BYTES, path
        print(f"{path}: {path.stat().st_size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
