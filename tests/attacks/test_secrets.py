"""What failures and addresses tell: no server, no user, no password, no path of ours."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.gateway_process import GatewayProcess, ServedModel, running_gateway
from tests.integration.ingest.content import png
from tests.integration.ingest.sending import Client, replica
from tests.stacks import key_header, visionops
from tests.vision.corpus import CASES
from tests.waiting import eventually
from visionops_assets.catalog import cameras
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.redaction import for_clients
from visionops_assets.settings import Settings
from visionops_assets.vision.capture.messages import CutRules

SECRET = "hunter2secret"
CAMERAS = (
    "rtsp://127.0.0.1:{port}/user=admin&password={secret}&channel=1",
    "rtsp://127.0.0.1:{port}/user=admin_password={secret}_channel=1",
    "rtsp://ann:{secret}@127.0.0.1:{port}/live",
    "rtsp://127.0.0.1:{port}/live?token={secret}",
)


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def tells_nothing(settings: Settings, answer: httpx.Response, *words: str) -> None:
    detail = answer.json()["detail"]
    assert for_clients(detail) == detail
    for word in (*words, SECRET, "127.0.0.1", str(settings.home), "visionops_assets"):
        assert word not in answer.text, answer.text


def test_an_upload_while_the_store_is_down(stack: Settings, closed: int) -> None:
    """Upload while the store does not answer: 503, and no word of where it is."""
    where = {"S3_ENDPOINT_URL": f"http://127.0.0.1:{closed}"}
    with replica(key_header(Scope.INGEST), ready_path="/healthz", **where) as cut_off:
        answer = cut_off.client.upload(png())
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    tells_nothing(stack, answer, str(closed), "media/")


def test_a_request_while_the_database_is_down(stack: Settings, closed: int) -> None:
    """Show a key while the database does not answer: 503, without its address and password."""
    url = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{closed}/visionops"
    key = key_header(Scope.PREDICT, Scope.INGEST)
    with (
        running_gateway("nothing", POSTGRES_URL=url) as gateway,
        replica(key, ready_path="/healthz", POSTGRES_URL=url) as ingest,
    ):
        answers = [
            gateway.http.post("/v1/predict", content=png(), headers=key),
            Client(ingest.client.url, key).upload(png()),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
        tells_nothing(stack, answer, str(closed), "ann:", "postgresql")


@pytest.fixture(scope="module")
def gateway(quiet_stack: Settings) -> Iterator[GatewayProcess]:
    model = ServedModel(quiet_stack, "secretive")
    model.load(1)
    with running_gateway(model.name) as gateway:
        yield gateway
    model.unload()


def test_files_that_no_decoder_likes(quiet_stack: Settings, gateway: GatewayProcess) -> None:
    """Predict every hostile file: no answer shows a path of OpenCV's, or of ours."""
    refused = 0
    for case in CASES.values():
        for path in ("/v1/predict", "/v1/frame"):
            answer = gateway.http.post(path, content=case.make(), headers=gateway.headers)
            assert answer.status_code < 500
            if answer.is_error:
                refused += 1
                tells_nothing(quiet_stack, answer, ".cpp", "site-packages")
    assert refused > len(CASES) / 2


def test_a_password_anywhere_in_the_address_of_a_camera(stack: Settings, closed: int) -> None:
    """A password in any part of a camera's address: neither commands, logs nor metrics show it."""
    first, *others = urls = {
        f"cam-{closed}-{number}": address.format(port=closed, secret=SECRET)
        for number, address in enumerate(CAMERAS)
    }
    log = stack.home / "logs" / "camera.log"
    said = [visionops("cameras", "add", first, urls[first])]
    with Catalog().begin() as session:
        for name in others:
            cameras.add(session, name, urls[name], cameras.CameraSettings(rules=CutRules()))
    try:
        eventually("word of each", lambda: all(name in log.read_text() for name in urls), 60)
        said += [visionops("cameras", "ls"), visionops("cameras", "ls", "--json")]
        metrics = httpx.get(f"{stack.camera_url}/metrics", trust_env=False).text
    finally:
        with Catalog().begin() as session:
            for name in urls:
                cameras.remove(session, name)
    shown = metrics + "".join(done.stdout + done.stderr for done in said)
    shown += "".join(path.read_text() for path in (stack.home / "logs").glob("*.log"))
    assert all(name in shown for name in urls)
    assert SECRET not in shown
