"""A gateway of a test's own, as a process beside the stack's, and a model for it to serve."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult

from tests.declared import declare
from tests.free_ports import free_ports
from tests.integration.released_models import CARD, network
from tests.stacks import key_for
from visionops_assets.contracts import Role, Scope
from visionops_assets.releasing.loading import CONFIG_FILE, config_as_json
from visionops_assets.releasing.pipeline import pipeline_files
from visionops_assets.resources.triton import CANDIDATE_SUFFIX, TritonServer
from visionops_assets.settings import Settings
from visionops_client import GatewayClient

READY_WITHIN_S = 60


class ServedModel:
    """A model of random weights, loaded into the stack's Triton without a release."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self._templates = settings.project_root / "triton_models" / "classifier"

    def load(self, version: int, role: Role = Role.CHAMPION) -> None:
        """Serve a version: as champion, or beside it as canary or shadow."""
        files = pipeline_files(self._templates, self.name, version, CARD) | {
            "model.onnx": network(version),
            "model.json": CARD.model_dump_json().encode(),
        }
        served_name = self.name if role is Role.CHAMPION else self.name + CANDIDATE_SUFFIX
        config = config_as_json(files[CONFIG_FILE], served_name, 1, role)
        sent = {f"{version}/{name}": content for name, content in files.items()}
        TritonServer().load(served_name, config, sent)

    def unload_candidate(self) -> None:
        """Take the canary or shadow away."""
        TritonServer().unload(self.name + CANDIDATE_SUFFIX)

    def unload(self) -> None:
        """Take the champion away."""
        TritonServer().unload(self.name)


class GatewayProcess:
    """A running gateway, and a key for it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        address: tuple[str, int],
        grpc_address: str,
        model: str,
    ) -> None:
        self.process = process
        self.model = model
        self.address = address
        self.url = f"http://{address[0]}:{address[1]}"
        self.key = key_for(Scope.PREDICT, Scope.LABEL)
        self.headers = {
            "Authorization": f"Bearer {self.key.get_secret_value()}",
            "Content-Type": "image/png",
        }
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        self.grpc_address = grpc_address

    def client(self) -> GatewayClient:
        """Return a client of it."""
        return GatewayClient(self.url, self.key)

    def post(self, image: bytes, query: str = "") -> httpx.Response:
        """Send one image, once."""
        return self.http.post(f"/v1/predict{query}", content=image, headers=self.headers)

    def infer(self, *images: bytes, sticky_key: str = "") -> InferResult:
        """Send images in one call of a plain Triton client."""
        tensor = InferInput("IMAGE", [len(images), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[image] for image in images], dtype=np.object_))
        headers = {
            "authorization": self.headers["Authorization"],
            **({"x-sticky-key": sticky_key} if sticky_key else {}),
        }
        with InferenceServerClient(self.grpc_address) as client:
            return client.infer(self.model, [tensor], headers=headers)

    def metrics(self) -> str:
        """Return what it tells Prometheus."""
        return self.http.get("/metrics").text

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def running_gateway(model_name: str, *others: str, **settings: str) -> Iterator[GatewayProcess]:
    """Run a gateway of a model, and of others beside it, with these `VISIONOPS_` variables."""
    port, grpc_port = free_ports(2)
    address, grpc_address = ("127.0.0.1", port), f"127.0.0.1:{grpc_port}"
    url = f"http://{address[0]}:{address[1]}"
    folder = Path(tempfile.mkdtemp(prefix="visionops-"))
    for name in (model_name, *others):
        declare(folder, name, default=name == model_name, monitoring={"audit_percent": 100})
    given = {
        "GATEWAY_URL": url,
        "GATEWAY_GRPC_ADDRESS": grpc_address,
        "MODELS": str(folder),
        **settings,
    }
    environment = os.environ | {f"VISIONOPS_{name}": value for name, value in given.items()}
    command = [sys.executable, "-m", "visionops_assets.services.gateway"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_until_healthy(process, url)
        gateway = GatewayProcess(process, address, grpc_address, model_name)
        with gateway.http:
            yield gateway
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            httpx.get(f"{url}/healthz", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The gateway did not start.")
