import json
import sys
from pathlib import Path

import pytest

from visionops_assets import cli
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.state import ServerState, StackState, Status, write_state


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    paths = Paths(tmp_path)
    paths.create()
    return paths


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `visionops` as its entry point does, and return the exit code."""
    monkeypatch.setattr(sys, "argv", ["visionops", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_an_error_is_a_message_and_code_2(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "status") == 2
    error = capsys.readouterr().err
    assert error.startswith("visionops: ")
    assert "visionops up" in error
    assert "Traceback" not in error


def test_status_of_a_stopped_stack_is_code_1(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ServerState(name="db", address="a:1", log="/l/db.log", status=Status.READY, pid=1)
    write_state(paths.state, StackState(supervisor_pid=1, servers=(server,)))
    assert run(monkeypatch, "status", "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(s["name"], s["status"], s["pid"]) for s in shown["servers"]] == [
        ("db", "stopped", None)
    ]


def test_down_without_a_stack_is_harmless(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "down") == 0
    assert "Nothing was running" in capsys.readouterr().out


def test_logs_shows_the_last_lines(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.log("db").write_text("one\ntwo\nthree\n")
    assert run(monkeypatch, "logs", "db", "-n", "2") == 0
    assert capsys.readouterr().out == "two\nthree\n"
    assert run(monkeypatch, "logs", "nosuch") == 2
    assert "There are: db" in capsys.readouterr().err
