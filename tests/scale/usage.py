"""CPU time and memory of a stack's servers, with all processes that they started."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from visionops_assets.stack.paths import Paths
from visionops_assets.stack.processes import read_identity, read_servers


class Usage(NamedTuple):
    """CPU seconds since each server started, and MB of memory that are its own, by server."""

    cpu_s: Mapping[str, float]
    memory_mb: Mapping[str, float]


def usage_of(paths: Paths) -> Usage:
    """Add up what each server started: its descendants, and the processes of its session."""
    names = {server.pid: name for name, server in read_servers(paths.run).items()}
    if supervisor := read_identity(paths.supervisor):
        names[supervisor.pid] = "supervisor"
    cpu_s: dict[str, float] = defaultdict(float)
    memory_mb: dict[str, float] = defaultdict(float)
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            if (name := _server_of(process, names)) is None:
                continue
            times = process.cpu_times()
            cpu_s[name] += times.user + times.system + times.children_user + times.children_system
            memory_mb[name] += _own_mb(process.pid)
    return Usage(cpu_s, memory_mb)


def _server_of(process: psutil.Process, names: Mapping[int, str]) -> str | None:
    # PostgreSQL gives each connection a session; what a server leaves to others stays in its own.
    starters = (each.pid for each in (process, *process.parents()))
    name = next((names[pid] for pid in starters if pid in names), None)
    of_session = names.get(os.getsid(process.pid))
    return of_session if name in {None, "supervisor"} and of_session else name


def _own_mb(process_id: int) -> float:
    """Return the memory that is no file's; what processes share counts once in all of them."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / 1_000
    return 0.0
