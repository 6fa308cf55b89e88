"""A second Triton beside that of a stack, with a keeper: a release has two servers to reach."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from visionops_assets.resources.signing import KEY_FILE
from visionops_assets.roster import ours
from visionops_assets.settings import (
    Settings,
    child_environment,
    load_settings,
    triton_repository,
)
from visionops_assets.stack import processes
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import choose_ports
from visionops_assets.stack.server import Server
from visionops_assets.stack.services import describe
from visionops_assets.stack.shared_memory import remove_shared_memory
from visionops_assets.stack.triton import triton

START_TIMEOUT_S = 120


class SecondTriton:
    """One more server of the same releases, with ports and a state folder of its own."""

    def __init__(self, settings: Settings, home: Path) -> None:
        # None of those kept: the stack's own servers listen there.
        ports = choose_ports({})
        own = {
            "home": home,
            "signing_key_file": settings.home / KEY_FILE,
            "triton_http_url": f"http://127.0.0.1:{ports['triton_http']}",
            "triton_grpc_address": f"127.0.0.1:{ports['triton_grpc']}",
            "triton_metrics_url": f"http://127.0.0.1:{ports['triton_metrics']}/metrics",
        }
        self._settings = settings.model_copy(update=own)
        plan = Plan(self._settings, ports, frozenset())
        self._servers = (describe(ours.KEEPER, plan), triton(plan))
        self._processes: list[tuple[Server, subprocess.Popen[bytes]]] = []
        self.address = self._settings.triton_grpc_address
        self.home = home

    def start(self) -> None:
        """Start the keeper and then the server, and wait until each is ready."""
        for server in self._servers:
            process = self._spawned(server)
            started_at_s = time.time()
            deadline = time.monotonic() + START_TIMEOUT_S
            while not server.probe(started_at_s):
                assert not processes.has_exited(process), self.log(server.name)
                assert time.monotonic() < deadline, f"The second {server.name} does not answer."
                time.sleep(0.1)

    def start_keeper_alone(self) -> None:
        """Start the keeper and do not wait."""
        self._spawned(self._servers[0])

    def _spawned(self, server: Server) -> subprocess.Popen[bytes]:
        home = self._settings.home
        (home / "run").mkdir(parents=True, exist_ok=True)
        server.prepare()
        environment = child_environment(self._settings) | dict(server.env)
        log = home / f"{server.name}.log"
        process = processes.spawn(server.command, environment, home / "run", log)
        self._processes.append((server, process))
        return process

    def log(self, name: str) -> str:
        """Return what a server printed."""
        log = self._settings.home / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def forget(self) -> None:
        """Remove what was laid out, as on a new machine."""
        shutil.rmtree(triton_repository(self._settings))

    @property
    def is_laid_out(self) -> bool:
        """Whether there is anything that Triton would load."""
        return any(triton_repository(self._settings).glob("*/config.pbtxt"))

    def stop(self) -> None:
        """End both as the stack would."""
        while self._processes:
            server, process = self._processes.pop()
            processes.end(process, server.stop_signal, server.stop_timeout_s)
        remove_shared_memory(self._settings.home)


@contextmanager
def two_servers(settings: Settings, home: Path) -> Iterator[SecondTriton]:
    """Run a second server for the length of the block, and let releases reach both."""
    second = SecondTriton(settings, home)
    with pytest.MonkeyPatch.context() as patch:
        addresses = f"{settings.triton_grpc_address},{second.address}"
        patch.setenv("VISIONOPS_TRITON_REPLICA_ADDRESSES", addresses)
        load_settings.cache_clear()
        try:
            second.start()
            yield second
        finally:
            second.stop()
    load_settings.cache_clear()
