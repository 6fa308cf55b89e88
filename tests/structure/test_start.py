"""What starts often starts fast: it imports no slow package that it does not need."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from visionops_assets.roster import ours

SLOW = {"alembic", "cv2", "dagster", "mlflow", "pandas", "scipy", "torch"}
"""Each takes half a second of CPU time or more."""


def is_package(module: str) -> bool:
    """Say whether `python -m` runs the module's `__main__`."""
    found = find_spec(module)
    return found is not None and found.submodule_search_locations is not None


SERVICES = {
    f"{service.module}.__main__" if is_package(service.module) else service.module: set[str]()
    for service in ours.SERVICES
}
COMMANDS = {"visionops_assets.cli": {"boto3", "httpx", "numpy", "sqlalchemy"}}


@pytest.mark.parametrize(("module", "others"), (SERVICES | COMMANDS).items())
def test_nothing_slow_is_imported(module: str, others: set[str]) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & (SLOW | others) == set()
