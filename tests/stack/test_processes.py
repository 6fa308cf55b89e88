import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from visionops_assets.stack import processes
from visionops_assets.stack.processes import ServerProcess, end_orphan, identify

STUBBORN = "trap '' TERM; echo 1; sleep 60"
FAMILY = "sleep 60 & echo 1; wait"

Process = subprocess.Popen[bytes]


@pytest.fixture
def started() -> Iterator[list[Process]]:
    children: list[Process] = []
    yield children
    for child in children:
        processes.reap(child)
        assert child.stdout
        child.stdout.close()


def start(started: list[Process], *command: str) -> Process:
    """Start a process in a session of its own and wait for its first line."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    started.append(child)
    assert child.stdout
    child.stdout.readline()
    return child


def record(pid: int, **changes: object) -> ServerProcess:
    fields = identify(pid).model_dump() | {"rank": 0, "stop_signal": 15, "stop_timeout_s": 5}
    return ServerProcess.model_validate(fields | changes)


def members(session: int) -> list[int]:
    return list(processes.session_members(session))


def test_a_process_is_known_by_pid_and_start_time(started: list[Process]) -> None:
    child = start(started, "sh", "-c", FAMILY)
    known = identify(child.pid)
    assert known.is_alive
    assert not known.model_copy(update={"start_ticks": known.start_ticks + 1}).is_alive
    assert not known.model_copy(update={"boot_id": "another"}).is_alive
    processes.reap(child)
    assert not known.is_alive


def test_an_unreaped_child_counts_as_dead(started: list[Process]) -> None:
    child = start(started, "sh", "-c", "echo 1; exec sleep 60")
    known = identify(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    while not processes.has_exited(child):
        time.sleep(0.01)
    assert not known.is_alive


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another"}])
def test_a_recycled_pid_is_left_alone(started: list[Process], change: dict[str, object]) -> None:
    child = start(started, "sh", "-c", FAMILY)
    assert not end_orphan(record(child.pid, **change))
    assert not processes.has_exited(child)


def test_an_orphan_ends_with_its_children(started: list[Process]) -> None:
    child = start(started, "sh", "-c", FAMILY)
    assert len(members(child.pid)) == 2
    assert end_orphan(record(child.pid))
    assert members(child.pid) == []


def test_children_of_a_dead_orphan_are_ended(started: list[Process]) -> None:
    child = start(started, "sh", "-c", FAMILY)
    orphan = record(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert len(members(child.pid)) == 1
    assert end_orphan(orphan)
    assert members(child.pid) == []
    assert not end_orphan(orphan)


def test_a_stubborn_process_is_killed_after_its_time(started: list[Process]) -> None:
    child = start(started, "sh", "-c", STUBBORN)
    assert processes.end(child, signal.SIGTERM, timeout_s=0.2) == -signal.SIGKILL


def test_a_process_that_stops_by_itself_is_not_killed(started: list[Process]) -> None:
    child = start(started, "sh", "-c", "trap 'exit 7' TERM; echo 1; while :; do sleep 0.05; done")
    assert processes.end(child, signal.SIGTERM, timeout_s=5) == 7


def test_orphans_end_in_reverse_start_order(started: list[Process], tmp_path: Path) -> None:
    for rank, name in enumerate(["store", "broker", "api"]):
        child = start(started, "sh", "-c", FAMILY)
        processes.write_record(tmp_path / f"{name}.pid", record(child.pid, rank=rank))
    assert processes.end_orphans(tmp_path) == ["api", "broker", "store"]
    assert not list(tmp_path.glob("*.pid"))
