"""Attacks on those who are answered beside an attacker: by Triton, and by the gateway."""

import json
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from tests.integration.gateway_process import GatewayProcess, ServedModel, running_gateway
from tests.stacks import key_header
from tests.vision.corpus import picture, saved
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_frame

PNG = saved(picture(), "PNG")
PREDICT = "/v1/predict"
RAW = {"Content-Type": "image/png"}
MEASURED_S = 8.0
KEPT_RATE = 0.8


def deep_png(side_px: int) -> bytes:
    """Make a PNG of 16-bit RGBA, all of one colour: few bytes that take long to decode."""
    rows = zlib.compress(bytes(side_px * (1 + 8 * side_px)), 1)
    header = struct.pack(">IIBBBBB", side_px, side_px, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.fixture(scope="module")
def model(quiet_stack: Settings) -> Iterator[ServedModel]:
    model = ServedModel(quiet_stack, f"attacked-{uuid4().hex[:8]}")
    model.load(1)
    yield model
    model.unload()


@pytest.fixture(scope="module")
def gateway(model: ServedModel) -> Iterator[GatewayProcess]:
    with running_gateway(model.name) as gateway:
        yield gateway


def ask_triton(settings: Settings, model: str, images: list[bytes], **parameters: Any) -> Any:
    tensor = InferInput("IMAGE", [len(images), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[image] for image in images], np.object_))
    with InferenceServerClient(settings.triton_grpc_address) as triton:
        return triton.infer(model, [tensor], parameters=parameters).as_numpy("LABEL")


@contextmanager
def repeated(call: Callable[[], object], threads: int) -> Iterator[list[BaseException | None]]:
    """Make a call again and again beside the block; give what each of them raised, or None."""
    ending, results = threading.Event(), list[BaseException | None]()

    def run() -> None:
        while not ending.is_set():
            try:
                call()
            except (InferenceServerException, AssertionError, httpx.HTTPError) as error:
                results.append(error)
            else:
                results.append(None)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(run)
        try:
            yield results
        finally:
            ending.set()


def test_a_strip_whose_image_is_kept_harms_no_other(
    quiet_stack: Settings, model: ServedModel
) -> None:
    """Images of 200,000 x 1 pixels with `keep_image`: they and all others are answered."""
    strip = np.random.default_rng(0).integers(0, 256, (200_000, 1, 3), np.uint8)
    strips = [encode_frame(strip), encode_frame(strip.transpose(1, 0, 2))]
    with repeated(lambda: ask_triton(quiet_stack, model.name, [PNG]), 2) as others:
        for _ in range(10):
            assert len(ask_triton(quiet_stack, model.name, strips, keep_image=True)) == 2
    assert len(others) > 5
    assert not any(others)


@pytest.mark.parametrize("said", ["false", "true", 0])
def test_a_parameter_that_is_no_boolean(
    quiet_stack: Settings, model: ServedModel, said: object
) -> None:
    """`record` or `keep_image` of another type over gRPC is refused, not taken as true."""
    for name in ("record", "keep_image"):
        with pytest.raises(InferenceServerException, match=f"invalid_request: .*{name}") as error:
            ask_triton(quiet_stack, model.name, [PNG], **{name: said})
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_more_images_than_a_request_may_have(quiet_stack: Settings, model: ServedModel) -> None:
    """300 images in one gRPC request are refused by an error that says 32, as the docs do."""
    with pytest.raises(InferenceServerException, match="<= 32"):
        ask_triton(quiet_stack, model.name, [PNG] * 300)


def test_an_image_of_many_pixels(quiet_stack: Settings, gateway: GatewayProcess) -> None:
    """A PNG of 7,000 x 7,000 in 16 bits is refused by its header, by HTTP and by gRPC."""
    bomb = deep_png(7_000)
    started_s = time.monotonic()
    answer = gateway.post(bomb)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pixels")
    assert time.monotonic() - started_s < 1
    with pytest.raises(InferenceServerException, match="too_many_pixels"):
        ask_triton(quiet_stack, gateway.model, [bomb])


def rates(gateway: GatewayProcess, keys: list[dict[str, str]]) -> float:
    """Return the answers per second of several keys together, each on one connection."""
    clients = [httpx.Client(base_url=gateway.url, headers=key, trust_env=False) for key in keys]
    answered = 0

    def run(client: httpx.Client) -> int:
        count, ends_at_s = 0, time.monotonic() + MEASURED_S
        while time.monotonic() < ends_at_s:
            answer = client.post(PREDICT, content=PNG, timeout=30)
            count += answer.status_code == 200
            time.sleep(0.02)
        return count

    with ThreadPoolExecutor(len(clients)) as pool:
        answered = sum(pool.map(run, clients))
    for client in clients:
        client.close()
    return answered / MEASURED_S


@contextmanager
def attacker(url: str, image: Path, connections: int) -> Iterator[None]:
    """Send an image on some connections at once, by a key of its own, beside the block."""
    headers = key_header(Scope.PREDICT) | RAW
    asked = {"url": url, "image": str(image), "connections": connections, "headers": headers}
    command = [sys.executable, "-m", "tests.attacks.attacker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        yield
        assert process.poll() is None


@pytest.mark.rates
@pytest.mark.parametrize(
    ("side_px", "connections"), [(4_000, 4), (4_000, 40), (1_200, 16), (850, 16)]
)
def test_a_key_that_sends_costly_images(
    gateway: GatewayProcess, tmp_path: Path, record_property: Any, side_px: int, connections: int
) -> None:
    """Others keep 80 % of their rate beside a key that sends the costliest images it may."""
    victims = [key_header(Scope.PREDICT) | RAW for _ in range(3)]
    image = tmp_path / "costly.png"
    image.write_bytes(deep_png(side_px))
    alone = rates(gateway, victims)
    with attacker(gateway.url + PREDICT, image, connections):
        time.sleep(3)
        beside = rates(gateway, victims)
    record_property("alone per s", round(alone, 1))
    record_property("beside per s", round(beside, 1))
    assert beside >= KEPT_RATE * alone
    assert "visionops_gateway_breaker_state 0.0" in gateway.metrics()
