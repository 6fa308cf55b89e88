"""What the services say of themselves in OpenAPI is true, for whatever schemathesis thinks of."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stacks import key_for
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings

CONFIG = Path(__file__).with_name("openapi.toml")
TIMEOUT_S = 120


@pytest.mark.parametrize("service", ["ingest", "gateway", "alerts"])
def test_every_answer_is_as_described(stack: Settings, service: str, tmp_path: Path) -> None:
    url = getattr(stack, f"{service}_url")
    own_key = stack.alerts_key if service == "alerts" else None
    key = own_key or key_for(Scope.INGEST, Scope.PREDICT, Scope.LABEL)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "--no-color"]
    tested = subprocess.run(
        [
            *command,
            "run",
            f"{url}/openapi.json",
            "--header",
            f"Authorization: Bearer {key.get_secret_value()}",
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
