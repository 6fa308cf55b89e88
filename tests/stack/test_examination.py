import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from visionops_assets.findings import Finding, Grade
from visionops_assets.settings import STACK_ENV_FILE, load_settings
from visionops_assets.stack import processes
from visionops_assets.stack.examination import _unmet, examine
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.state import ServerState, StackState, Status, write_state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    yield tmp_path / "home"
    load_settings.cache_clear()


def findings(home: Path) -> dict[str, Finding]:
    """What is found, by subject; of several findings of one subject the worst."""
    grades = list(Grade)
    by_grade = sorted(examine(home), key=lambda each: grades.index(each.grade))
    return {each.subject: each for each in by_grade}


def test_without_a_stack_all_is_looked_at_and_nothing_is_made(home: Path) -> None:
    found = findings(home)
    assert set(found) == {
        *("packages", "memory", "disk", "home", "clock", "programs", "supervisor", "ports")
    }
    assert found["packages"].grade is Grade.OK
    assert "dagster 1.13" in found["packages"].finding
    assert "nvidia-pytriton" in found["packages"].finding
    assert not home.exists()


def test_a_missing_triton_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_TRITON_ENVIRONMENT", "/nowhere")
    found = findings(home)["packages"]
    assert found.grade is Grade.BAD
    assert "nvidia-pytriton is not installed in /nowhere" in found.finding


def test_what_is_not_installed_or_too_old_is_named() -> None:
    wanted = ["no-such-thing>=1", "pytest>=1000", "pytest>=1", "absent; extra == 'demo'"]
    missing, old = _unmet(wanted)
    assert missing == "no-such-thing is not installed"
    assert old.endswith("does not fit >=1000")


def test_who_has_a_port_is_named(home: Path) -> None:
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (home / STACK_ENV_FILE).write_text(f"VISIONOPS_STACK_PORT_INGEST={port}\n")
        found = [each for each in examine(home) if f"Port {port} (ingest)" in each.finding]
    assert [each.grade for each in found] == [Grade.WARN]
    assert f"(pid {os.getpid()})" in found[0].finding


def test_wrong_settings_and_files_are_findings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(home)
    paths.create()
    paths.state.write_text("{")
    monkeypatch.setenv("VISIONOPS_MAX_UPLOAD_BYTES", "many")
    found = findings(home)
    assert "VISIONOPS_MAX_UPLOAD_BYTES" in found["packages"].finding
    assert found["supervisor"].grade is Grade.BAD
    assert found["disk"].grade is not Grade.BAD


def test_a_killed_supervisor_and_the_servers_it_left_are_found(home: Path) -> None:
    paths = Paths(home)
    paths.create()
    log = paths.log("db")
    sleeper = subprocess.Popen(("sleep", "60"))
    try:
        record = processes.ServerProcess(
            **processes.identify(sleeper.pid).model_dump(),
            rank=0,
            stop_signal=signal.SIGTERM,
            stop_timeout_s=1,
        )
        processes.write_record(paths.pid("db"), record)
        state = ServerState(name="db", address="", log=str(log), status=Status.READY, pid=1)
        write_state(paths.state, StackState(supervisor_pid=1, servers=(state,)))
        found = findings(home)["supervisor"]
    finally:
        sleeper.kill()
        sleeper.wait()
    assert found.grade is Grade.BAD
    assert "was killed; without it run db." in found.finding


def test_a_halted_supervisor_is_found(home: Path) -> None:
    paths = Paths(home)
    paths.create()
    with subprocess.Popen(("sleep", "60")) as sleeper:
        processes.write_record(paths.supervisor, processes.identify(sleeper.pid))
        write_state(paths.state, StackState(supervisor_pid=sleeper.pid))
        assert findings(home)["supervisor"].grade is Grade.OK
        sleeper.send_signal(signal.SIGSTOP)
        os.waitpid(sleeper.pid, os.WUNTRACED)
        assert findings(home)["supervisor"].grade is Grade.BAD
        sleeper.kill()
