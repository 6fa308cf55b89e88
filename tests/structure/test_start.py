"""What starts often starts fast: it imports no slow package that it does not need."""

import subprocess
import sys

import pytest

SLOW = {"alembic", "cv2", "dagster", "mlflow", "pandas", "scipy", "torch"}
"""Each takes half a second of CPU time or more."""
SERVICES = {
    f"visionops_assets.services.{name}": set[str]()
    for name in (
        *("alerts", "camera.__main__", "exporter.__main__", "gateway.__main__"),
        *("ingest.__main__", "keeper", "relay", "releaser.__main__", "sweep"),
    )
}
COMMANDS = {"visionops_assets.cli": {"boto3", "httpx", "numpy", "sqlalchemy"}}


@pytest.mark.parametrize(("module", "others"), (SERVICES | COMMANDS).items())
def test_nothing_slow_is_imported(module: str, others: set[str]) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & (SLOW | others) == set()
