"""A second Triton beside that of a stack, so that a release has more than one server to reach."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from visionops_assets.settings import Settings, child_environment, load_settings
from visionops_assets.stack import processes
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import choose_ports
from visionops_assets.stack.triton import remove_shared_memory, triton

START_TIMEOUT_S = 120


class SecondTriton:
    """One more server of the same model repository, with ports and a state folder of its own."""

    def __init__(self, settings: Settings, home: Path) -> None:
        # None of those kept: the stack's own servers listen there.
        ports = choose_ports({})
        own = {
            "home": home,
            "triton_http_url": f"http://127.0.0.1:{ports['triton_http']}",
            "triton_grpc_address": f"127.0.0.1:{ports['triton_grpc']}",
            "triton_metrics_url": f"http://127.0.0.1:{ports['triton_metrics']}/metrics",
        }
        self._settings = settings.model_copy(update=own)
        self._server = triton(Plan(self._settings, ports, frozenset()))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = self._settings.triton_grpc_address

    def start(self) -> None:
        """Start it, and wait until it answers."""
        home = self._settings.home
        (home / "run").mkdir(parents=True, exist_ok=True)
        self._server.prepare()
        environment = child_environment(self._settings) | dict(self._server.env)
        self._process = processes.spawn(
            self._server.command, environment, home / "run", home / "triton.log"
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.probe(time.time()):
            assert not processes.has_exited(self._process), (home / "triton.log").read_text()
            assert time.monotonic() < deadline, "The second Triton does not answer."
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as the stack would."""
        if self._process is not None:
            processes.end(self._process, self._server.stop_signal, self._server.stop_timeout_s)
            self._process = None
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
