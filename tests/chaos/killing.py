"""Carries a schedule of kills out, and makes sure that each one ended, or stopped, a process."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock

import psutil

from tests.chaos.leftovers import abandoned_upload
from tests.chaos.records import KillRecord
from tests.chaos.schedule import FORK_SERVER, POINTS_BY_PROCESS, RUN_WORKER, Kill, Wave
from visionops_assets.crash_points import CrashPoint
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.roster import ours
from visionops_assets.stack import dagster
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.processes import ProcessIdentity, identify, session_members
from visionops_assets.stack.state import USABLE, ServerState, read_state

POLL_S = 0.1
DEATH_TIMEOUT_S = 10.0
_FORKED = (FORK_SERVER, RUN_WORKER)
# How the fork server looks, and each of its forks.
FORKED_MARK = "multiprocessing.forkserver"


class ChaosError(Exception):
    """The harness itself could not do what was asked of it."""


class Processes:
    """Finds the processes of one running stack."""

    def __init__(self, home: Path) -> None:
        self._state = Paths(home).state

    def running(self, process: str) -> list[ProcessIdentity]:
        """Return the processes of this name."""
        if process in _FORKED:
            return self._forked(process)
        return _living(server.pid for server in self._servers(process))

    def settled(self, process: str, settled_s: float) -> list[ProcessIdentity]:
        """Return those that have been ready for so long; the code server's children always are."""
        if process in _FORKED:
            return self._forked(process)
        ready_before_s = time.time() - settled_s
        return _living(
            server.pid
            for server in self._servers(process)
            if server.status in USABLE and (server.ready_at_s or 0) < ready_before_s
        )

    def _servers(self, name: str) -> list[ServerState]:
        state = read_state(self._state)
        return [server for server in state.servers if server.name == name] if state else []

    def _forked(self, process: str) -> list[ProcessIdentity]:
        codes = {server.pid for server in self.running(dagster.CODE)}
        members = {pid: _parent(pid) for code in codes for pid in session_members(code)}
        forked = {pid: parent for pid, parent in members.items() if FORKED_MARK in _command(pid)}
        by_code = {pid for pid, parent in forked.items() if parent in codes}
        return _living(by_code if process == FORK_SERVER else forked.keys() - by_code)


class Killer:
    """Kills by schedule, in threads of its own; `on_kill` hears of every process that died.

    A process is killed once at a time, and let be for `settled_s` before, so that it does
    something, and so that its supervisor does not take it for one that cannot run.
    """

    def __init__(
        self,
        home: Path,
        armed: Path,
        *,
        settled_s: float,
        stopped_s: float,
        patience_s: float,
        on_kill: Callable[[KillRecord], None],
    ) -> None:
        self._processes = Processes(home)
        self._armed = armed
        self._settled_s = settled_s
        self._stopped_s = stopped_s
        self._patience_s = patience_s
        self._on_kill = on_kill
        self._stop = Event()
        self._locks = {process: Lock() for process in POINTS_BY_PROCESS}
        self.records: list[KillRecord] = []

    def stop(self) -> None:
        """Kill nothing from now on."""
        self._stop.set()

    def run(self, waves: Sequence[Wave]) -> None:
        """Kill wave by wave, without waiting for one to be over before the next.

        Raises:
            ChaosError: a process did not come back, or a crash point was not passed, in time.
        """
        # A thread each: those of one process wait for each other.
        with ThreadPoolExecutor(max_workers=sum(len(wave.kills) for wave in waves)) as pool:
            killings = []
            for wave in waves:
                self._stop.wait(wave.pause_s)
                killings += [pool.submit(self._kill, kill) for kill in wave.kills]
            try:
                for killing in as_completed(killings):
                    killing.result()
            except ChaosError:
                self.stop()
                raise

    def _kill(self, kill: Kill) -> None:
        with self._locks[kill.process]:
            victims = self._await_settled(kill.process)
            if kill.only_stops:
                killed_at_s = self._stop_by_pid(kill.process, victims)
            elif kill.point:
                killed_at_s = self._kill_at_point(kill.process, kill.point)
            else:
                killed_at_s = self._kill_by_pid(kill.process, victims)
        record = KillRecord(kill.target, killed_at_s)
        self.records.append(record)
        self._on_kill(record)

    def _await_settled(self, process: str) -> list[ProcessIdentity]:
        for _ in self._polls(f"{process} did not come back"):
            settled = self._processes.settled(process, self._settled_s)
            # A run worker lives too shortly to be waited for before its crash point is armed.
            if settled or process in _FORKED:
                return settled
        return []

    def _kill_by_pid(self, process: str, victims: list[ProcessIdentity]) -> float:
        """Kill one of these, or else the next to come; return when it died."""
        for _ in self._polls(f"{process} was not there to be killed"):
            killed_at_s = time.time()
            for victim in victims[:1]:
                with suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGKILL)
                    if _one_died([victim]):
                        return killed_at_s
            victims = self._processes.running(process)
        return math.nan

    def _stop_by_pid(self, process: str, victims: list[ProcessIdentity]) -> float:
        """Stop one of these, or else the next to come, for a while; return when it was stopped."""
        for _ in self._polls(f"{process} was not there to be stopped"):
            for victim in victims[:1]:
                stopped_at_s = time.time()
                with suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGSTOP)
                    self._stop.wait(self._stopped_s)
                    _let_go_on(victim)
                    return stopped_at_s
            victims = self._processes.running(process)
        return math.nan

    def _kill_at_point(self, process: str, point: CrashPoint) -> float:
        """Arm a crash point, wait until a process passed it, and return when it died."""
        order = self._armed / point.value
        before: list[ProcessIdentity] = []
        seen = self._processes.running(process)
        self._arm(order)
        try:
            for _ in self._polls(f"{process} did not pass {point}"):
                if not order.exists():
                    killed_at_s = time.time()
                    # One that died while they were looked for is among those seen before.
                    if _one_died([*before, *seen]):
                        return killed_at_s
                    self._arm(order)
                before, seen = seen, self._processes.running(process)
        finally:
            order.unlink(missing_ok=True)
        return math.nan

    def _arm(self, order: Path) -> None:
        if order.name not in POINTS_BY_PROCESS[ours.SWEEP.name]:
            order.touch()
            return
        # The sweep passes its crash points only if there is something to sweep.
        for _ in self._polls("nothing could be left to the sweep"):
            with suppress(ServerUnreachableError), abandoned_upload():
                order.touch()
                return

    def _polls(self, problem: str) -> Iterator[None]:
        """Yield again and again, until time is over.

        Raises:
            ChaosError: it is, or nothing is to be killed any more.
        """
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline and not self._stop.is_set():
            yield
            time.sleep(POLL_S)
        raise ChaosError(f"{problem} within {self._patience_s:.0f} s.")


def _living(pids: Iterable[int | None]) -> list[ProcessIdentity]:
    return [identity for pid in pids if pid and (identity := identify(pid)).is_alive]


def _one_died(candidates: Sequence[ProcessIdentity]) -> bool:
    deadline = time.monotonic() + DEATH_TIMEOUT_S
    while time.monotonic() < deadline:
        if any(not candidate.is_alive for candidate in candidates):
            return True
        time.sleep(POLL_S / 10)
    return False


def _let_go_on(victim: ProcessIdentity) -> None:
    """Let a process go on, unless the supervisor's patience with it ended."""
    if victim.is_alive:
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGCONT)


def _command(pid: int) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def _parent(pid: int) -> int | None:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).ppid()
    return None
