"""Keeps one server running: a thread starts it, awaits that it is ready, restarts and stops it."""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Mapping

from visionops_assets.errors import StackError
from visionops_assets.stack import processes
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.server import Server, Trouble
from visionops_assets.stack.state import USABLE, Board, Status
from visionops_assets.stack.vigil import Vigil

POLL_S = 0.1
START_ATTEMPTS = 3
EXTERNAL_S = 180.0
"""Patience with a server that others run: the address that we were given may be wrong."""
STABLE_S = 10.0
"""A server that was ready for this long can run: its next crash counts as its first."""
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 30.0
_DEPENDENTS_TIMEOUT_S = 120.0
_GONE = frozenset({Status.STOPPED, Status.FAILED})

logger = logging.getLogger(__name__)


def backoff_s(crashes: int) -> float:
    """Return the pause after the n-th crash in a row (from 1): 0.5 s, doubling up to 30 s."""
    return min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(crashes - 1, 16))


class Runner(threading.Thread):
    """The life of one server. `dependents` are the servers that must be stopped before it."""

    def __init__(
        self,
        server: Server,
        *,
        rank: int,
        dependents: tuple[str, ...],
        env: Mapping[str, str],
        paths: Paths,
        board: Board,
        stopping: threading.Event,
    ):
        super().__init__(name=server.name)
        self._server = server
        self._rank = rank
        self._dependents = dependents
        self._env = {**env, **server.env}
        self._paths = paths
        self._board = board
        self._stopping = stopping
        self._was_ready = False
        self._gave_up = ""

    def run(self) -> None:
        """Wait for what the server needs, then keep it up until the stack stops."""
        while not self._stopping.is_set():
            try:
                if self._board.wait(self._server.needs, USABLE, POLL_S):
                    self._attach() if self._server.is_external else self._keep_up()
            except Exception as error:
                # Any error in a step of one server is that server's failure, and the user is told.
                logger.exception("%s failed", self._server.name)
                if not self._board.stack().was_up:
                    self._update(status=Status.FAILED, pid=None, message=str(error))
                    return
                self._update(status=Status.RESTARTING, pid=None, message=str(error))
                self._stopping.wait(_BACKOFF_MOST_S)
        self._update(status=Status.STOPPED, pid=None)

    def _attach(self) -> None:
        """Check a server that others run, then wait for the end of the stack."""
        self._update(status=Status.STARTING)
        if self._await_ready(process=None):
            self._watch(process=None)

    def _keep_up(self) -> None:
        """Start the server again and again until the stack stops.

        Raises:
            StackError: it ended too often before the whole stack was up.

        """
        crashes = 0
        while not self._stopping.is_set():
            process = self._start()
            ready_for_s = 0.0
            try:
                if self._await_ready(process):
                    ready_for_s = self._watch(process)
            finally:
                exit_code = self._end(process)
            if self._stopping.is_set():
                return
            crashes = 1 if ready_for_s > STABLE_S else crashes + 1
            if not self._board.stack().was_up and crashes >= START_ATTEMPTS:
                raise StackError(f"ended {crashes} times during the start, code {exit_code}")
            self._pause(crashes, exit_code)

    def _start(self) -> subprocess.Popen[bytes]:
        server = self._server
        self._gave_up = ""
        self._update(status=Status.STARTING)
        server.prepare()
        log = self._paths.rotate_log(server.name)
        # Python servers import from their working folder: in the home itself, `import triton`
        # would find the folder of our Triton.
        process = processes.spawn(server.command, self._env, self._paths.run, log)
        record = processes.ServerProcess(
            **processes.identify(process.pid).model_dump(),
            rank=self._rank,
            stop_signal=server.stop_signal,
            stop_timeout_s=server.stop_timeout_s,
        )
        processes.write_record(self._paths.pid(server.name), record)
        self._update(pid=process.pid)
        return process

    def _await_ready(self, process: subprocess.Popen[bytes] | None) -> bool:
        """Probe until the server answers and is set up. False if it ended, or the stack does.

        Raises:
            StackError: it did not answer in time, and never has.

        """
        server = self._server
        started_at_s = time.time()
        patience_s = server.start_timeout_s if process else min(server.start_timeout_s, EXTERNAL_S)
        deadline = time.monotonic() + patience_s
        while not server.probe(started_at_s):
            if self._stopping.wait(POLL_S) or (process and processes.has_exited(process)):
                return False
            if time.monotonic() > deadline:
                break
        else:
            # Another program may answer at the address, because ours could not get it.
            if process and processes.has_exited(process):
                return False
            if not self._was_ready:
                server.setup()
            self._was_ready = True
            status = Status.EXTERNAL if server.is_external else Status.READY
            self._update(status=status, ready_at_s=time.time(), message="")
            return True
        load, cores = os.getloadavg()[0], os.cpu_count()
        problem = (
            f"{server.address} did not answer within {patience_s:.0f} s (this machine's load is "
            f"{load:.0f} on {cores} cores)"
        )
        if not self._was_ready:
            raise StackError(problem)
        logger.warning("%s: %s", server.name, problem)
        return False

    def _watch(self, process: subprocess.Popen[bytes] | None) -> float:
        """Wait until the server or the stack ends, or patience with the server does.

        Returns for how many seconds it was ready.
        """
        ready_at = time.monotonic()
        vigil = Vigil(self._server, process.pid if process else None)
        while not self._stopping.wait(POLL_S) and not (process and processes.has_exited(process)):
            if not vigil.ask(is_patient=not self._has_all_it_needs()):
                continue
            self._tell(vigil.trouble)
            if process and vigil.trouble and vigil.lasted_s > self._server.patience_s:
                why = vigil.trouble.what or "did not answer"
                self._gave_up = f"{why} for {vigil.lasted_s:.0f} s"
                break
        return time.monotonic() - ready_at

    def _has_all_it_needs(self) -> bool:
        """Say whether the fault of a server that does not answer is its own."""
        return self._board.wait(self._server.needs, USABLE, timeout_s=0)

    def _tell(self, trouble: Trouble | None) -> None:
        """Note on the board that the server no longer answers, or answers again."""
        usable = Status.EXTERNAL if self._server.is_external else Status.READY
        status = Status.NOT_ANSWERING if trouble else usable
        message = trouble.what if trouble else ""
        before = self._board.state(self._server.name)
        if (before.status, before.message) != (status, message):
            logger.warning("%s: %s %s", self._server.name, status, message)
            self._update(status=status, message=message)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """End the server's process. If the stack stops, its dependents end first."""
        server = self._server
        if self._stopping.is_set():
            self._board.wait(self._dependents, _GONE, _DEPENDENTS_TIMEOUT_S)
            self._update(status=Status.STOPPING)
        exit_code = processes.end(process, server.stop_signal, server.stop_timeout_s)
        self._paths.pid(server.name).unlink(missing_ok=True)
        return exit_code

    def _pause(self, crashes: int, exit_code: int) -> None:
        """Say that the server crashed and wait before it is started again."""
        pause_s = backoff_s(crashes)
        restarts = self._board.state(self._server.name).restarts + 1
        message = f"{self._gave_up or f'ended with code {exit_code}'}, again in {pause_s:g} s"
        logger.warning("%s: %s", self._server.name, message)
        self._update(status=Status.RESTARTING, pid=None, restarts=restarts, message=message)
        self._stopping.wait(pause_s)

    def _update(self, **changes: object) -> None:
        self._board.update(self._server.name, **changes)
