"""Carries a schedule of kills out, and makes sure that each one ended a process."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock

from tests.chaos.records import KillRecord
from tests.chaos.schedule import POINTS_BY_PROCESS, RUN_WORKER, Kill, Wave
from visionops_assets.crash_points import CrashPoint
from visionops_assets.stack import dagster
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.processes import ProcessIdentity, identify, session_members
from visionops_assets.stack.state import USABLE, read_state

POLL_S = 0.1
DEATH_TIMEOUT_S = 10.0
# How a process looks that `multiprocessing` started: Dagster makes one for each run.
RUN_WORKER_MARK = b"spawn_main"


class ChaosError(Exception):
    """The harness itself could not do what was asked of it."""


class Processes:
    """Finds the processes of one running stack."""

    def __init__(self, home: Path) -> None:
        self._state = Paths(home).state

    def living(self, process: str) -> list[ProcessIdentity]:
        """Return those of this name that may be killed now: servers only once they are ready."""
        if process == RUN_WORKER:
            return self._run_workers()
        return [identity for identity in self._server(process) if identity.is_alive]

    def _server(self, name: str) -> list[ProcessIdentity]:
        state = read_state(self._state)
        servers = state.servers if state else ()
        return [
            identify(server.pid)
            for server in servers
            if server.name == name and server.pid and server.status in USABLE
        ]

    def _run_workers(self) -> list[ProcessIdentity]:
        pids = [
            pid
            for server in self._server(dagster.CODE)
            for pid in session_members(server.pid)
            if RUN_WORKER_MARK in _command(pid)
        ]
        return [identity for identity in map(identify, pids) if identity.is_alive]


class Killer:
    """Kills by schedule, in threads of its own; `on_kill` hears of every process that died."""

    def __init__(
        self, home: Path, armed: Path, timeout_s: float, on_kill: Callable[[KillRecord], None]
    ) -> None:
        self._processes = Processes(home)
        self._armed = armed
        self._timeout_s = timeout_s
        self._on_kill = on_kill
        self._records: list[KillRecord] = []
        self._locks = {process: Lock() for process in POINTS_BY_PROCESS}
        self._point_locks = {point: Lock() for point in CrashPoint}

    @property
    def records(self) -> list[KillRecord]:
        """Everything that was killed up to now."""
        return list(self._records)

    def run(self, waves: Sequence[Wave], stop: Event) -> None:
        """Kill wave by wave, without waiting for one to be over before the next.

        Raises:
            ChaosError: a process did not come back, or a crash point was not passed, in time.
        """
        with ThreadPoolExecutor(max_workers=len(self._locks) + len(self._point_locks)) as pool:
            killings = []
            for wave in waves:
                if stop.wait(wave.pause_s):
                    return
                killings += [pool.submit(self._kill, kill) for kill in wave.kills]
            for killing in killings:
                killing.result()

    def _kill(self, kill: Kill) -> None:
        if kill.point:
            with self._point_locks[kill.point]:
                killed_at_s = self._kill_at_point(kill.process, kill.point)
        else:
            with self._locks[kill.process]:
                killed_at_s = self._kill_by_pid(kill.process)
        record = KillRecord(kill.target, killed_at_s)
        self._records.append(record)
        self._on_kill(record)

    def _kill_by_pid(self, process: str) -> float:
        """Wait until there is such a process, kill it, and return when it died."""
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            for victim in self._processes.living(process)[:1]:
                killed_at_s = time.time()
                with suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGKILL)
                    if _one_died([victim]):
                        return killed_at_s
            time.sleep(POLL_S)
        raise ChaosError(f"{process} was not there to be killed within {self._timeout_s:.0f} s.")

    def _kill_at_point(self, process: str, point: CrashPoint) -> float:
        """Arm a crash point, wait until a process passed it, and return when it died."""
        order = self._armed / point.value
        deadline = time.monotonic() + self._timeout_s
        order.touch()
        candidates: list[ProcessIdentity] = []
        while time.monotonic() < deadline:
            if not order.exists():
                killed_at_s = time.time()
                if _one_died(candidates):
                    return killed_at_s
                order.touch()  # Something else ended it first; that is another kill.
            candidates = self._processes.living(process) or candidates
            time.sleep(POLL_S)
        order.unlink(missing_ok=True)
        raise ChaosError(f"No process passed {point} within {self._timeout_s:.0f} s.")


def _one_died(candidates: Sequence[ProcessIdentity]) -> bool:
    deadline = time.monotonic() + DEATH_TIMEOUT_S
    while time.monotonic() < deadline:
        if any(not candidate.is_alive for candidate in candidates):
            return True
        time.sleep(POLL_S / 10)
    return False


def _command(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
