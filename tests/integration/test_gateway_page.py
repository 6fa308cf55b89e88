"""The gateway's page in a browser, on a real Triton and a real catalog."""

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect
from sqlalchemy import select

from tests.browser import running_browser, visit
from tests.integration.gateway_process import GatewayProcess, ServedModel, running_gateway
from tests.integration.released_models import CARD, SIZE_PX
from tests.stacks import visionops
from tests.vision.corpus import picture, saved
from tests.waiting import eventually
from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import add_snapshot
from visionops_assets.catalog.schema import AnnotationRow, SignInLink, Snapshot
from visionops_assets.catalog.sign_in import create_link, redeem
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import UnauthenticatedError
from visionops_assets.services.http import cookies
from visionops_assets.settings import Settings

PICTURE = FilePayload(name="picture.png", mimeType="image/png", buffer=saved(picture(), "PNG"))
REVOKED_WITHIN_S = 10.0
DROP = """bytes => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
    document.dispatchEvent(new DragEvent("drop", {dataTransfer: files, cancelable: true}));
}"""
FOREIGN_POST = """url => fetch(url, {
    method: "POST", mode: "no-cors", credentials: "include", body: "x"
}).then(() => null)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def gateway(quiet_stack: Settings) -> Iterator[GatewayProcess]:
    model = ServedModel(quiet_stack, f"page-{uuid4().hex[:8]}")
    model.load(1)
    snapshot = Snapshot(
        snapshot_id=CARD.snapshot_id,
        model_name=model.name,
        watermark=datetime.now(UTC),
        spec_id=CARD.spec.spec_id,
        spec=CARD.spec.model_dump(),
        classes=list(CARD.classes),
        train_frames=1,
        holdout_frames=1,
        object_prefix="nowhere",
    )
    with Catalog().begin() as session:
        add_snapshot(session, snapshot)
    with running_gateway(model.name) as gateway:
        yield gateway
    model.unload()


@pytest.fixture
def page(browser: Browser, gateway: GatewayProcess) -> Iterator[Page]:
    """The page of somebody who followed a link."""
    with visit(browser, gateway.url) as visited:
        visited.page.goto(link(gateway))
        expect(visited.page.locator("#work")).to_be_visible()
        yield visited.page
        assert visited.foreign == []
        assert visited.complaints == []


def link(gateway: GatewayProcess) -> str:
    """Make a link as an operator does."""
    made = visionops("link", "--at", gateway.url)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def newest_label(prediction_id: str) -> tuple[str | None, str] | None:
    with Catalog().begin() as session:
        found = session.scalars(
            select(AnnotationRow)
            .where(AnnotationRow.prediction_id == UUID(prediction_id))
            .order_by(AnnotationRow.annotation_id.desc())
        ).first()
        return None if found is None else (text_of(found.payload), found.origin)


def expect_answer(page: Page) -> str:
    """Wait for an answer with its frame; return the prediction's id."""
    expect(page.locator("#frame")).to_be_visible(timeout=30_000)
    assert page.locator("#frame").evaluate("image => image.naturalWidth") == SIZE_PX
    assert page.locator("#label").inner_text() in CARD.classes
    expect(page.locator("#confidence")).to_contain_text("%")
    expect(page.locator("#classes li")).to_have_count(len(CARD.classes))
    expect(page.locator("#role")).to_have_text("champion")
    return page.locator("#prediction").inner_text()


def test_a_picture_in_an_answer_out_and_what_it_really_was(
    page: Page, gateway: GatewayProcess
) -> None:
    assert page.url == f"{gateway.url}/"
    page.set_input_files("#file", PICTURE)
    prediction_id = expect_answer(page)
    assert page.locator("#version").inner_text().endswith(" 1")
    assert "/models/page-" in (page.locator("#version").get_attribute("href") or "")

    page.locator("#choices button", has_text="b").first.click()
    expect(page.locator("#thanks")).to_contain_text("Noted: b")
    assert newest_label(prediction_id) == ("b", "volunteered")
    page.fill("#other", "something new")
    page.press("#other", "Enter")
    expect(page.locator("#thanks")).to_contain_text("Noted: something new")
    assert newest_label(prediction_id) == ("something new", "volunteered")
    # All are drawn on this stack; only who says so answers the draw.
    page.locator("#answers-draw").check()
    page.locator("#choices button", has_text="b").first.click()
    expect(page.locator("#thanks")).to_contain_text("Noted: b")
    assert newest_label(prediction_id) == ("b", "audit")


def test_a_picture_can_be_dropped_and_taken(page: Page) -> None:
    page.evaluate(DROP, list(PICTURE["buffer"]))
    dropped = expect_answer(page)
    page.click("#start-camera")
    page.click("#take")
    expect(page.locator("#prediction")).not_to_have_text(dropped, timeout=30_000)
    assert expect_answer(page) != dropped


def test_a_link_signs_in_once(browser: Browser, gateway: GatewayProcess) -> None:
    url = link(gateway)
    with visit(browser, gateway.url) as first:
        first.page.goto(url)
        expect(first.page.locator("#work")).to_be_visible()
        first.page.reload()
        expect(first.page.locator("#work")).to_be_visible()
        # It is spent, but this browser is signed in.
        first.page.goto(url)
        expect(first.page).to_have_url(f"{gateway.url}/")
        expect(first.page.locator("#work")).to_be_visible()
    with visit(browser, gateway.url) as second:
        second.page.goto(url)
        problem = second.page.locator("#sign-in-problem")
        expect(problem).to_contain_text("was used already")
        expect(problem).to_contain_text("visionops link")
        expect(second.page.locator("#work")).to_be_hidden()


def test_a_key_signs_in_until_it_is_revoked(browser: Browser, gateway: GatewayProcess) -> None:
    with visit(browser, gateway.url) as visited:
        page = visited.page
        page.goto(gateway.url)
        page.fill("#key", "vo_wrong")
        page.press("#key", "Enter")
        expect(page.locator("#sign-in-problem")).to_contain_text("not valid")
        page.fill("#key", gateway.key.get_secret_value())
        page.press("#key", "Enter")
        expect(page.locator("#work")).to_be_visible()
        page.click("#sign-out")
        expect(page.locator("#sign-in-problem")).to_contain_text("signed out")
        assert page.context.cookies() == []
        page.reload()
        expect(page.locator("#sign-in")).to_be_visible()
    # A person's own key outlives the session.
    assert gateway.post(saved(picture(), "PNG")).status_code == 200


def test_signing_out_ends_the_key_of_a_link(page: Page, gateway: GatewayProcess) -> None:
    (cookie,) = page.context.cookies(f"{gateway.url}{cookies.PATH}")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}"}

    def status() -> int:
        return httpx.get(f"{gateway.url}/v1/session", headers=headers, trust_env=False).status_code

    assert status() == 200
    page.click("#sign-out")
    expect(page.locator("#sign-in")).to_be_visible()
    eventually("the key's end", lambda: status() == 401, REVOKED_WITHIN_S)


@contextmanager
def other_origin() -> Iterator[str]:
    """Serve an empty page on another port of this machine."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_of_another_port_cannot_use_the_sign_in(
    browser: Browser, gateway: GatewayProcess
) -> None:
    predict = f"{gateway.url}/v1/predict"
    with other_origin() as elsewhere, visit(browser, gateway.url, elsewhere) as visited:
        page = visited.page
        page.goto(link(gateway))
        expect(page.locator("#work")).to_be_visible()
        page.goto(elsewhere)
        with page.expect_response(predict) as answered:
            page.evaluate(FOREIGN_POST, predict)
        # The browser did send the cookie: what refuses is the gateway.
        assert cookies.NAME in answered.value.request.all_headers()["cookie"]
        assert answered.value.status == 403


def test_without_a_model_the_page_says_why(browser: Browser, quiet_stack: Settings) -> None:
    with running_gateway(f"none-{uuid4().hex[:8]}") as gateway, visit(browser, gateway.url) as v:
        v.page.goto(link(gateway))
        expect(v.page.locator("#work")).to_be_visible()
        v.page.set_input_files("#file", PICTURE)
        detail = gateway.post(saved(picture(), "PNG")).json()["detail"]
        expect(v.page.locator("#problem")).to_have_text(detail)


def test_one_of_many_who_come_at_once_gets_in(quiet_stack: Settings) -> None:
    with Catalog().begin() as session:
        url = create_link(session, "http://127.0.0.1:8081/").get_secret_value()
    address, _, secret = url.partition("#once=")
    assert address == "http://127.0.0.1:8081/"

    def try_it(_: int) -> str:
        try:
            with Catalog().begin() as session:
                return redeem(session, secret)[1].get_secret_value()
        except UnauthenticatedError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        (key,) = filter(None, pool.map(try_it, range(16)))
    with Catalog().begin() as session:
        row = keys.find(session, key[3:11])
        assert row is not None
        assert (row.scopes, row.name[:5]) == (["label", "predict"], "link-")
        assert row.expires_at is not None
        left = row.expires_at - datetime.now(UTC)
        assert timedelta(hours=11) < left <= timedelta(hours=12)
        kept = session.get(SignInLink, keys.hash_key(secret))
        assert kept is not None
        assert kept.key_prefix == row.prefix
        assert secret not in json.dumps({k: str(v) for k, v in vars(kept).items()})


@pytest.mark.parametrize(("secret", "said"), [("expired", "has expired"), ("no", "not known")])
def test_a_link_that_is_over_says_so_and_what_to_do(
    quiet_stack: Settings, secret: str, said: str
) -> None:
    with Catalog().begin() as session:
        digest = keys.hash_key("expired")
        row = SignInLink(secret_sha256=digest, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        session.merge(row)
    with Catalog().begin() as session, pytest.raises(UnauthenticatedError, match=said) as refused:
        redeem(session, secret)
    assert "visionops link" in str(refused.value)
