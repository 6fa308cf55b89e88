"""The package for applications, installed alone: it uploads and predicts, and brings no PyTorch."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.gateway_process import ServedModel, running_gateway
from tests.stacks import key_for
from tests.vision.corpus import picture, saved
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
APPLICATION = """
import json, sys
from importlib.metadata import distributions
from pathlib import Path

from visionops_client import GatewayClient, IngestClient, RefusedError

ingest_url, gateway_url, key, image = sys.argv[1:]
with IngestClient(ingest_url, key) as ingest:
    receipt = ingest.upload(Path(image), source="application", label="seven")
    try:
        ingest.upload(b"no image", source="application")
    except RefusedError as error:
        refusal = error.reason
with GatewayClient(gateway_url, key) as gateway:
    predicted = gateway.predict(Path(image))
    models = [model.name for model in gateway.models()]
print(json.dumps({
    "media_id": str(receipt.media_id), "refusal": refusal, "label": predicted.label,
    "role": predicted.role, "models": models,
    "installed": sorted(found.name for found in distributions()),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the package, and what it needs."""
    folder = tmp_path_factory.mktemp("application") / "venv"
    subprocess.run([BIN / "uv", "venv", folder], check=True, capture_output=True)
    asked = (folder, "--constraint", ROOT / "requirements.lock", ROOT / "client")
    install = [str(BIN / "uv"), "pip", "install", "--python", *map(str, asked)]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def gateway_url(stack: Settings) -> Iterator[str]:
    model = ServedModel(stack, f"application-{uuid4().hex[:8]}")
    model.load(1)
    with running_gateway(model.name) as gateway:
        yield gateway.url
    model.unload()


def test_an_application_uploads_and_predicts_by_the_package_alone(
    python: Path, stack: Settings, gateway_url: str, tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(saved(picture(), "PNG"))
    key = key_for(Scope.INGEST, Scope.LABEL, Scope.PREDICT).get_secret_value()
    told = [stack.ingest_url, gateway_url, key, str(image)]
    ran = subprocess.run(
        [python, "-c", APPLICATION, *told],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    answer = json.loads(ran.stdout)
    assert answer["refusal"] == "unsupported_media_type"
    assert answer["role"] == "champion"
    assert answer["label"]
    assert answer["models"]
    assert {"visionops-client", "httpx", "pydantic", "websockets"} <= set(answer["installed"])
    assert not {"visionops", "torch", "numpy", "dagster"} & set(answer["installed"])
