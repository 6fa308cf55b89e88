"""The supervisor's report on its servers: `<home>/run/state.json`, replaced in one step."""

import logging
import threading
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from visionops_assets.stack.server import Server

_log = logging.getLogger(__name__)


class Status(StrEnum):
    """Life of a server. It is orphaned when it runs on after its supervisor was killed."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    NOT_ANSWERING = "not answering"
    EXTERNAL = "external"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ORPHANED = "orphaned"


SIGN_EVERY_S = 2.0
"""How often the supervisor says how its servers are, even if nothing has changed."""
SILENT_AFTER_S = 10.0
USABLE = frozenset({Status.READY, Status.EXTERNAL})


class ServerState(BaseModel):
    """One server as it is now. Times are Unix times in seconds."""

    model_config = ConfigDict(frozen=True)

    name: str
    address: str
    grpc_address: str = ""
    log: str
    status: Status = Status.WAITING
    pid: int | None = None
    ready_at_s: float | None = None
    restarts: int = 0
    message: str = ""


class StackState(BaseModel):
    """The whole stack as it is now.

    `was_up` says whether all servers could be used at the same time; from then on, no crash ends
    the stack. `error` says why the supervisor could not start anything, or that it gives no sign
    itself. `written_at_s` is the Unix time of the report.
    """

    model_config = ConfigDict(frozen=True)

    supervisor_pid: int
    servers: tuple[ServerState, ...] = ()
    was_up: bool = False
    error: str = ""
    written_at_s: float | None = None

    @property
    def is_ready(self) -> bool:
        """Say whether every server can be used."""
        is_said = bool(self.servers) and not self.error
        return is_said and all(server.status in USABLE for server in self.servers)

    @property
    def failed(self) -> ServerState | None:
        """Return the first server that could not be started."""
        return next((s for s in self.servers if s.status is Status.FAILED), None)


def read_state(path: Path) -> StackState | None:
    """Return the last written state, or None if there never was one."""
    return StackState.model_validate_json(path.read_bytes()) if path.exists() else None


def write_state(path: Path, state: StackState) -> None:
    """Replace the file in one step: a reader never sees half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(state.model_dump_json(indent=2))
    draft.replace(path)


class Board:
    """The states of all servers, shared by the runners' threads and written on every change."""

    def __init__(self, path: Path, supervisor_pid: int, servers: Iterable[tuple[Server, Path]]):
        self._path = path
        self._supervisor_pid = supervisor_pid
        self._states = {
            server.name: ServerState(
                name=server.name,
                address=server.address,
                grpc_address=server.grpc_address,
                log=str(log),
            )
            for server, log in servers
        }
        self._was_up = False
        self._changed = threading.Condition()
        write_state(self._path, self.stack())

    def update(self, name: str, **changes: Any) -> None:
        """Change fields of one server's state, and wake those who wait for it."""
        with self._changed:
            self._states[name] = self._states[name].model_copy(update=changes)
            self._write()
            self._changed.notify_all()

    def state(self, name: str) -> ServerState:
        """Return one server's state."""
        with self._changed:
            return self._states[name]

    def wait(self, names: Iterable[str], statuses: frozenset[Status], timeout_s: float) -> bool:
        """Wait until each named server has one of the statuses; false if time ran out."""
        wanted = list(names)
        with self._changed:
            return self._changed.wait_for(
                lambda: all(self._states[name].status in statuses for name in wanted), timeout_s
            )

    def stack(self) -> StackState:
        """Return the state of all servers."""
        with self._changed:
            return StackState(
                supervisor_pid=self._supervisor_pid,
                servers=tuple(self._states.values()),
                was_up=self._was_up,
                written_at_s=time.time(),
            )

    def write(self) -> None:
        """Write the report again, so that readers see that the supervisor is alive.

        If it cannot be written, as on a full disk, its age shows that.
        """
        with self._changed:
            self._write()

    def _write(self) -> None:
        self._was_up = self._was_up or self.stack().is_ready
        try:
            write_state(self._path, self.stack())
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)
