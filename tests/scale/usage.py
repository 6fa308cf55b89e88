"""CPU time and memory of a stack's servers, with all processes that they started."""

import os
from collections import Counter
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
    """Add up the processes of each server's session, and the children that they waited for."""
    names = {server.pid: name for name, server in read_servers(paths.run).items()}
    if supervisor := read_identity(paths.supervisor):
        names[os.getsid(supervisor.pid)] = "supervisor"
    cpu_s: Counter[str] = Counter()
    memory_mb: Counter[str] = Counter()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            name = names.get(os.getsid(process.pid))
            if name is None:
                continue
            times = process.cpu_times()
            cpu_s[name] += times.user + times.system + times.children_user + times.children_system  # type: ignore[assignment]
            memory_mb[name] += _own_mb(process.pid)  # type: ignore[assignment]
    return Usage(cpu_s, memory_mb)


def _own_mb(process_id: int) -> float:
    """Return the memory that is no file's; what processes share counts once in all of them."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / 1_000
    return 0.0
