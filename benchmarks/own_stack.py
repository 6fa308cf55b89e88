"""A stack of a benchmark's own: nothing else works on it, and nothing is left of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from visionops_assets.errors import StackError
from visionops_assets.settings import STACK_ENV_FILE, Settings


@contextmanager
def own_stack(*servers: str) -> Iterator[Settings]:
    """Run these servers, and what they need, in a state folder that is removed at the end.

    Raises:
        StackError: they do not start.
    """
    outside = {name: value for name, value in os.environ.items() if "VISIONOPS_" not in name}
    with TemporaryDirectory(prefix="visionops-bench-") as home:
        env = outside | {"VISIONOPS_HOME": home}
        try:
            _visionops(env, "up", "--only", ",".join(servers))
            yield Settings(_env_file=Path(home) / STACK_ENV_FILE, home=Path(home))
        finally:
            _visionops(env, "down")


def _visionops(env: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "visionops_assets", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"`visionops {' '.join(words)}` failed: {done.stderr.strip()}")
