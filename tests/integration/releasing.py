"""`python -m tests.integration.releasing`: changes what serves, in processes that may be killed.

Reads lines `<promote|canary> <model> <version>` and does each in a fork of its own, because the
imports take longer than a release; answers with the fork's exit code, below zero for a signal.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Role
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.release import Releaser
from visionops_assets.releasing.rollouts import Rollouts
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer

ORDER = Order("killed", "to be killed half way")


class ReleasingProcess:
    """The process, seen from a test."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, what: str, model: str, version: int) -> int:
        """Do one change in a fork, and return its exit code."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what} {model} {version}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def releasing_process(crash_points_dir: Path) -> Iterator[ReleasingProcess]:
    """Run one, with crash points, under the settings of this process."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.releasing"],
        env=os.environ | {"VISIONOPS_CRASH_POINTS_DIR": str(crash_points_dir)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield ReleasingProcess(process)
        assert process.stdin
        process.stdin.close()


def change(what: str, model: str, version: int) -> None:
    controller = Controller.of(Catalog(), ObjectStore(), TritonServer())
    if what == "promote":
        Releaser(controller).promote(model, version, ORDER)
    else:
        Rollouts(controller).start(model, version, Role.CANARY, 10, ORDER)


def main() -> None:
    for line in sys.stdin:
        what, model, version = line.split()
        # No connection and no thread was made yet, so that a fork is as good as a new process.
        pid = os.fork()
        if not pid:
            change(what, model, int(version))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
