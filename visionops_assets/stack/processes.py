"""Starts the stack's processes, and finds them again by their records.

Every server is started in a session of its own, whose id is the pid of its first process. A record
names that pid, the start time of the process and its boot, so that a recycled pid is never taken
for a server.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_POLL_S = 0.05


class ProcessIdentity(BaseModel):
    """One process. Another one that gets its pid later is not this one."""

    model_config = ConfigDict(frozen=True)

    pid: int
    start_ticks: int
    boot_id: str

    @property
    def is_alive(self) -> bool:
        """Say whether the process exists."""
        return self.boot_id == boot_id() and self.start_ticks == start_ticks(self.pid)

    @property
    def may_have_left_processes(self) -> bool:
        """Return False if the pid was given again: the kernel does so only for an empty session."""
        return self.is_alive or (self.boot_id == boot_id() and start_ticks(self.pid) is None)


class ServerProcess(ProcessIdentity):
    """The first process of a server, and how it is to be ended. `rank` is its start order."""

    rank: int
    stop_signal: int
    stop_timeout_s: float


def identify(pid: int) -> ProcessIdentity:
    """Identify a process that exists: a child that was not reaped, or this process."""
    return ProcessIdentity(pid=pid, start_ticks=start_ticks(pid) or 0, boot_id=boot_id())


def boot_id() -> str:
    """Identify the running boot: pids and start times of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the name (proc(5), from field 3 on)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_ticks(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot; None if it is dead."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def session_members(session: int) -> Iterator[int]:
    """Yield the living processes of a session."""
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields and int(fields[3]) == session and fields[0] != "Z":
            yield int(entry.name)


def stopped_sessions() -> frozenset[int]:
    """Return the sessions with a process that a signal has stopped (state T of proc(5))."""
    found = (_stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return frozenset(int(fields[3]) for fields in found if fields and fields[0] == "T")


def spawn(
    command: tuple[str, ...], env: Mapping[str, str], cwd: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a child has ended, without reaping it: its pid stays ours until `reap`."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, timeout_s: float) -> int:
    """Ask a child to stop, wait, end the rest of its session, and return its exit code."""
    deadline = time.monotonic() + timeout_s
    _ask_to_stop(process.pid, stop_signal)
    while not has_exited(process) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return reap(process)


def reap(process: subprocess.Popen[bytes]) -> int:
    """End the rest of a child's session and return the child's exit code."""
    _kill_session(process.pid)
    return process.wait()


def end_orphan(server: ServerProcess) -> bool:
    """End a server that an earlier supervisor left behind. False if nothing was left of it."""
    if not server.may_have_left_processes or not any(session_members(server.pid)):
        return False
    with suppress(ProcessLookupError):
        _ask_to_stop(server.pid, server.stop_signal)
    deadline = time.monotonic() + server.stop_timeout_s
    while server.pid in session_members(server.pid) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    _kill_session(server.pid)
    return True


def _ask_to_stop(pid: int, stop_signal: int) -> None:
    """Send the signal. A process that is stopped must go on, to receive it."""
    os.kill(pid, stop_signal)
    os.kill(pid, signal.SIGCONT)


def _kill_session(session: int) -> None:
    """Kill every member of a session. A group is not enough: a server may make more of them."""
    while members := list(session_members(session)):
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def write_record(path: Path, record: ProcessIdentity) -> None:
    """Replace a record in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(record.model_dump_json())
    draft.replace(path)


def read_identity(path: Path) -> ProcessIdentity | None:
    """Return the recorded process if it lives."""
    if not path.exists():
        return None
    identity = ProcessIdentity.model_validate_json(path.read_bytes())
    return identity if identity.is_alive else None


def read_servers(folder: Path) -> dict[str, ServerProcess]:
    """Return the recorded servers by name, in start order."""
    records = {
        path.stem: ServerProcess.model_validate_json(path.read_bytes())
        for path in folder.glob("*.pid")
    }
    return dict(sorted(records.items(), key=lambda item: item[1].rank))


def end_orphans(folder: Path) -> list[str]:
    """End every recorded server, the last started first, and return the names of those found."""
    ended = []
    for name, server in reversed(read_servers(folder).items()):
        if end_orphan(server):
            ended.append(name)
        (folder / f"{name}.pid").unlink(missing_ok=True)
    return ended
