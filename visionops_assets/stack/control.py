"""Starts the supervisor of a stack, stops it, and looks at it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visionops_assets.errors import StackError
from visionops_assets.stack import processes
from visionops_assets.stack.paths import Paths, tail
from visionops_assets.stack.shared_memory import remove_shared_memory
from visionops_assets.stack.state import (
    SILENT_AFTER_S,
    USABLE,
    ServerState,
    StackState,
    Status,
    read_state,
)

_POLL_S = 0.1
_LOG_LINES = 25
# Longer than it takes if every server uses all of its patience.
_STOP_TIMEOUT_S = 180.0
# How long `up` waits for a stack that was up before: its supervisor never gives a server up.
_RECOVERY_TIMEOUT_S = 180.0

Watcher = Callable[[StackState], None]


def start(home: Path, only: frozenset[str], watch: Watcher) -> StackState:
    """Start the supervisor unless it runs, and wait until every server is ready.

    `watch` is called with the state repeatedly.

    Raises:
        StackError: a server did not come up (everything is stopped again); or the stack runs
            already, but lacks a server of `only`, or a server that does not come back.

    """
    paths = Paths(home)
    paths.create()
    followed: processes.ProcessIdentity | None = None
    spawned = False
    while True:
        supervisor = processes.read_identity(paths.supervisor)
        if supervisor is None:
            if spawned and followed:
                raise StackError(_why_ended(paths, followed.pid))
            supervisor = _spawn_supervisor(paths, only)
            spawned = True
        # None if it was being stopped just now, or if another `up` was faster.
        state = _follow(supervisor, paths, only, watch)
        if state:
            return state
        followed = supervisor


def _follow(
    supervisor: processes.ProcessIdentity, paths: Paths, only: frozenset[str], watch: Watcher
) -> StackState | None:
    """Watch until every server is ready; None if the supervisor ends before."""
    deadline = time.monotonic() + _RECOVERY_TIMEOUT_S
    while supervisor.is_alive:
        state = read_state(paths.state)
        if state and state.supervisor_pid == supervisor.pid:
            watch(state)
            if state.is_ready:
                _require(only, state)
                return state
            if not state.was_up:
                deadline = time.monotonic() + _RECOVERY_TIMEOUT_S
            if time.monotonic() > deadline:
                raise StackError(_why_unready(state))
        time.sleep(_POLL_S)
    return None


def stop(home: Path, watch: Watcher) -> bool:
    """Stop the stack, also one whose supervisor was killed. False if nothing was running.

    Raises:
        StackError: the supervisor does not end.

    """
    paths = Paths(home)
    supervisor = processes.read_identity(paths.supervisor)
    if supervisor:
        with suppress(ProcessLookupError):
            os.kill(supervisor.pid, signal.SIGTERM)
        _await_end(supervisor, paths, watch)
    orphans = processes.end_orphans(paths.run)
    remove_shared_memory(home)
    return bool(supervisor or orphans)


def is_supervised(home: Path) -> bool:
    """Say whether a supervisor looks after the servers: the stack runs, or starts, or stops."""
    return processes.read_identity(Paths(home).supervisor) is not None


def look(home: Path) -> StackState | None:
    """Return the state of the stack as it really is; None if it was never started.

    With the supervisor killed, a server that still runs is orphaned and any other is stopped. If it
    is silent, nobody knows how the servers are.
    """
    paths = Paths(home)
    state = read_state(paths.state)
    if state is None:
        return None
    if supervisor := processes.read_identity(paths.supervisor):
        return _doubted(state, supervisor.pid, time.time())
    alive = {name for name, record in processes.read_servers(paths.run).items() if record.is_alive}
    servers = tuple(_without_supervisor(server, server.name in alive) for server in state.servers)
    return state.model_copy(update={"servers": servers})


def _doubted(state: StackState, pid: int, now_s: float) -> StackState:
    """Say that the supervisor is silent, if it is: it is stopped, or its disk is full."""
    if state.written_at_s is None or now_s - state.written_at_s < SILENT_AFTER_S:
        return state
    problem = (
        f"The supervisor (pid {pid}) is not answering: it said {now_s - state.written_at_s:.0f} s "
        "ago how the servers were. Is its disk full? Run `visionops doctor`."
    )
    return state.model_copy(update={"error": problem})


def _spawn_supervisor(paths: Paths, only: frozenset[str]) -> processes.ProcessIdentity:
    with paths.rotate_log("supervisor").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "visionops_assets.stack.supervisor", *sorted(only)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Reaps it if it ends while this process lives.
    threading.Thread(target=process.wait, daemon=True).start()
    return processes.identify(process.pid)


def _require(only: frozenset[str], state: StackState) -> None:
    missing = only - {server.name for server in state.servers}
    if missing:
        raise StackError(
            f"The stack runs without {', '.join(sorted(missing))}. "
            "Run `visionops down` first, then `visionops up` again."
        )


def _why_unready(state: StackState) -> str:
    """Say which servers of a stack that was up are not back, after the end of a log."""
    missing = [server for server in state.servers if server.status not in USABLE]
    lines = [f"{server.name} is {server.status}: {server.message}" for server in missing]
    first = Path(missing[0].log)
    advice = "The stack runs, but not all of it. Stop it with `visionops down`."
    return "\n".join([*tail(first, _LOG_LINES), f"Log: {first}", *lines, advice])


def _why_ended(paths: Paths, pid: int) -> str:
    """Say why the supervisor ended: the failed server and the end of its log."""
    state = read_state(paths.state)
    if state is None or state.supervisor_pid != pid:
        log = paths.log("supervisor")
        return "\n".join(["The supervisor ended.", *tail(log, _LOG_LINES), f"Log: {log}"])
    if state.error:
        return state.error
    if state.failed is None:
        return "The stack was stopped before it was ready."
    failed = state.failed
    lines = tail(Path(failed.log), _LOG_LINES)
    problem = f"{failed.name} did not come up: {failed.message}"
    return "\n".join([*lines, f"Log: {failed.log}", problem])


def _await_end(supervisor: processes.ProcessIdentity, paths: Paths, watch: Watcher) -> None:
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while supervisor.is_alive:
        if time.monotonic() > deadline:
            raise StackError(
                f"The supervisor (pid {supervisor.pid}) does not end. Kill it, then run "
                f"`visionops down` again. Log: {paths.log('supervisor')}"
            )
        state = read_state(paths.state)
        if state:
            watch(state)
        time.sleep(_POLL_S)


def _without_supervisor(server: ServerState, is_alive: bool) -> ServerState:
    if is_alive:
        return server.model_copy(update={"status": Status.ORPHANED})
    status = Status.FAILED if server.status is Status.FAILED else Status.STOPPED
    return server.model_copy(update={"status": status, "pid": None})
