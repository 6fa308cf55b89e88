"""The rules of `visionops doctor`: they grade findings about machine and stack, with advice.

Pure: `examination` looks, this judges.
"""

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from visionops_assets.findings import Finding, Grade
from visionops_assets.stack.state import Status

GB = 1_000_000_000
# All servers together take 3.0 GB, and 3.6 GB while a model is trained: proportional set sizes,
# measured on a stack of `visionops up` with 2 cores.
MEMORY_TO_START_BYTES = 3 * GB
MEMORY_LEAST_BYTES = GB // 2
DISK_WARNING_BYTES = 5 * GB
DISK_LEAST_BYTES = GB
# SeaweedFS stops writing below this share of the disk.
DISK_LEAST_SHARE = 0.01
CLOCK_TOLERANCE_S = 60.0
OTHERS = 0o077
"""Permission bits of everybody but the owner."""


class PortUse(BaseModel):
    """A port that the stack has or would take. Without permission, `program` is not known."""

    port: int
    name: str
    is_free: bool
    is_ours: bool = False
    program: str = "another program"


class SeenServer(BaseModel):
    """A server: its status by the supervisor, whether it answers, and whether its process runs."""

    name: str
    address: str
    status: Status
    answers: bool
    pid: int | None = None
    is_halted: bool = False
    message: str = ""


class Supervision(BaseModel):
    """The supervisor of a stack. `servers_left` run on after it was killed."""

    was_started: bool
    pid: int | None = None
    is_halted: bool = False
    servers_left: tuple[str, ...] = ()


def memory(available_bytes: int, is_running: bool) -> Finding:
    """Judge the free memory, for a stack that runs or for one to start."""
    found = f"{available_bytes / GB:.1f} GB of memory are available."
    if available_bytes < MEMORY_LEAST_BYTES:
        return Finding("memory", Grade.BAD, found, "End other programs, or take a larger machine.")
    if not is_running and available_bytes < MEMORY_TO_START_BYTES:
        advice = f"The servers take some {MEMORY_TO_START_BYTES / GB:.0f} GB: end other programs."
        return Finding("memory", Grade.WARN, found, advice)
    return Finding("memory", Grade.OK, found)


def disk(free_bytes: int, total_bytes: int, folder: str) -> Finding:
    """Judge the free space on the disk of the state folder."""
    found = f"{free_bytes / GB:.1f} GB are free below {folder}."
    advice = "Free some space, or set VISIONOPS_HOME to a folder on another disk."
    if free_bytes < max(DISK_LEAST_BYTES, DISK_LEAST_SHARE * total_bytes):
        return Finding("disk", Grade.BAD, found, advice)
    if free_bytes < DISK_WARNING_BYTES:
        return Finding("disk", Grade.WARN, found, advice)
    return Finding("disk", Grade.OK, found)


def ports(uses: Iterable[PortUse], is_running: bool) -> Iterator[Finding]:
    """Judge who has the ports. A stack that starts replaces ports that others have."""
    uses = list(uses)
    taken = [use for use in uses if not use.is_free and not use.is_ours]
    for use in taken:
        found = f"Port {use.port} ({use.name}) belongs to {use.program}."
        advice = "`visionops up` will take another port; `visionops status` shows which."
        if is_running:
            advice = "End that program, or run `visionops down` and `visionops up`: they move on."
        yield Finding("ports", Grade.BAD if is_running else Grade.WARN, found, advice)
    ours = sum(use.is_ours for use in uses)
    free = len(uses) - len(taken) - ours
    held = f", {ours} are the stack's own" if ours else ""
    yield Finding("ports", Grade.OK, f"Of {len(uses)} ports {free} are free{held}.")


def home(folder: str, mode: int | None, is_writable: bool) -> Finding:
    """Judge the state folder by its permission bits; `mode` is None if it does not exist."""
    if not is_writable:
        advice = "Set VISIONOPS_HOME to a folder of yours, or change its owner."
        return Finding("home", Grade.BAD, f"You cannot write to {folder}.", advice)
    if mode is None:
        return Finding("home", Grade.OK, f"{folder} does not exist yet.")
    if mode & OTHERS:
        found = f"Others may look into {folder}, which holds credentials."
        return Finding("home", Grade.WARN, found, f"`chmod 700 {folder}`")
    return Finding("home", Grade.OK, f"{folder} is yours alone.")


def supervisor(seen: Supervision) -> Finding:
    """Judge whether somebody looks after the servers."""
    if not seen.was_started:
        return Finding(
            "supervisor", Grade.OK, "No stack was started here.", "`visionops up` starts one."
        )
    if seen.pid is not None and seen.is_halted:
        found = f"The supervisor (pid {seen.pid}) is halted: no server is started again."
        return Finding("supervisor", Grade.BAD, found, f"`kill -CONT {seen.pid}`")
    if seen.pid is not None:
        return Finding("supervisor", Grade.OK, f"The supervisor runs (pid {seen.pid}).")
    if seen.servers_left:
        found = f"The supervisor was killed; without it run {', '.join(seen.servers_left)}."
        advice = "`visionops up` ends them and starts all again; `visionops down` only ends them."
        return Finding("supervisor", Grade.BAD, found, advice)
    return Finding("supervisor", Grade.OK, "The stack is stopped.", "`visionops up` starts it.")


def server(seen: SeenServer) -> Finding:
    """Judge one server of a stack that runs."""
    where = f" at {seen.address}" if seen.address else ""
    log = f"Read `visionops logs {seen.name} -n 100`"
    if seen.is_halted:
        found = f"Its process (pid {seen.pid}) is halted and does not answer{where}."
        return Finding(seen.name, Grade.BAD, found, f"`kill -CONT {seen.pid}`")
    if seen.answers and seen.status in {Status.READY, Status.EXTERNAL}:
        return Finding(seen.name, Grade.OK, f"It answers{where}." if where else "It works.")
    if seen.status is Status.EXTERNAL:
        advice = "It is not a server of this stack: is the address right that your settings give?"
        return Finding(seen.name, Grade.BAD, f"It does not answer{where}.", advice)
    if seen.status is Status.READY:
        advice = f"{log}; then `kill {seen.pid}`: the supervisor starts it again."
        found = f"It runs (pid {seen.pid}) and does not answer{where}."
        return Finding(seen.name, Grade.BAD, found, advice)
    if seen.status in {Status.WAITING, Status.STARTING}:
        return Finding(seen.name, Grade.WARN, f"It is {seen.status}.", "Wait, and look again.")
    message = f": {seen.message}" if seen.message else ""
    advice = f"{log}; then `visionops down` and `visionops up`."
    return Finding(seen.name, Grade.BAD, f"It is {seen.status}{message}.", advice)


def packages(problems: Iterable[str], versions: Mapping[str, str]) -> Finding:
    """Judge what is installed by what `pyproject.toml` asks for."""
    problems = list(problems)
    if problems:
        return Finding("packages", Grade.BAD, f"{'; '.join(problems)}.", "Run `make install`.")
    shown = ", ".join(f"{name} {number}" for name, number in versions.items())
    return Finding("packages", Grade.OK, f"All are installed: {shown}.")


def programs(missing: Iterable[str]) -> Finding:
    """Say which optional programs are missing."""
    missing = list(missing)
    if not missing:
        return Finding("programs", Grade.OK, "All optional programs are installed.")
    found = f"Without {' and '.join(missing)} there are no alerts on this machine."
    return Finding("programs", Grade.OK, found, "All else works: they are optional.")


def clock(now_s: float, newest_record_s: float) -> Finding:
    """Judge the clock by the newest file of the stack, which must not be of the future."""
    ahead_s = newest_record_s - now_s
    if ahead_s > CLOCK_TOLERANCE_S:
        found = f"The clock was put back: a file of the stack is {ahead_s:.0f} s ahead of it."
        return Finding("clock", Grade.BAD, found, "Set the clock; signatures and leases need it.")
    return Finding("clock", Grade.OK, "The clock did not go back.")


def unseen(subject: str, problem: str) -> Finding:
    """Say that something could not be examined."""
    return Finding(subject, Grade.BAD, f"This could not be examined: {problem}", "Mend it.")
