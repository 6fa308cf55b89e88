"""The stack from a shell: `visionops env`, `visionops doctor`, and all that shows facts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from tests.cli.commands import COMMANDS, options
from tests.stacks import visionops
from tests.waiting import eventually
from visionops_assets.cli import app
from visionops_assets.settings import Settings
from visionops_assets.stack.state import read_state

PATIENCE_S = 60
# They take words, or act.
SHOWING = sorted(
    name
    for name, command in COMMANDS.items()
    if "--json" in options(command)
    and not any(parameter.required for parameter in command.params)
    and name.split()[-1] in {"ls", "status", "doctor", "env", "sweep"}
)


def findings() -> dict[str, dict[str, str]]:
    """What `visionops doctor` finds, by subject; of several about one subject the last."""
    lines = visionops("doctor", "--json").stdout.splitlines()
    return {finding["subject"]: finding for finding in map(json.loads, lines)}


@contextmanager
def halted(server: str, settings: Settings) -> Iterator[int]:
    """Halt the process of a server for the length of the block."""
    state = read_state(settings.home / "run" / "state.json")
    assert state is not None
    pid = next(each.pid for each in state.servers if each.name == server)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_shell_reaches_the_stack(quiet_stack: Settings) -> None:
    script = (
        f'eval "$({sys.executable} -m visionops_assets env)"; '
        'curl --silent --fail "$GATEWAY/healthz" && cd / && visionops status'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('{"status":"ok"}')
    assert "gateway" in done.stdout
    assert done.stderr == ""


def test_a_stack_that_runs_is_well(quiet_stack: Settings) -> None:
    def is_well() -> bool:
        return visionops("doctor").returncode == 0

    eventually("a doctor that finds nothing", is_well, PATIENCE_S)
    found = findings()
    state = read_state(quiet_stack.home / "run" / "state.json")
    assert state is not None
    assert {server.name for server in state.servers} <= found.keys()
    assert "the stack's own" in found["ports"]["finding"]


@pytest.mark.parametrize("server", ["gateway", "tansu", "seaweedfs"])
def test_a_halted_server_is_found_in_time(quiet_stack: Settings, server: str) -> None:
    with halted(server, quiet_stack) as pid:
        done = visionops("doctor", timeout_s=PATIENCE_S)
    assert done.returncode == 1
    (line,) = [each for each in done.stdout.splitlines() if each.split()[:2] == ["bad", server]]
    assert "does not answer" in line
    assert f"kill -CONT {pid}" in line


@pytest.mark.parametrize("name", SHOWING)
def test_a_command_prints_facts_for_people_and_for_programs(
    quiet_stack: Settings, name: str
) -> None:
    words = name.split()
    table = CliRunner().invoke(app, words)
    lines = CliRunner().invoke(app, [*words, "--json"])
    for done in (table, lines):
        assert done.exit_code in {0, 1}, done.output
        assert done.stderr == ""
    assert table.stdout
    assert "None" not in table.stdout
    assert all(isinstance(json.loads(line), dict) for line in lines.stdout.splitlines())
