"""Servers that hang and do not end, on a stack of its own."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.stacks import running_stack, visionops
from tests.waiting import eventually
from visionops_assets.settings import Settings
from visionops_assets.stack import processes
from visionops_assets.stack.paths import Paths

WITHIN_S = 15.0
SERVERS = "relay,sweep,exporter,gateway"
WELL = {"ready", "external"}


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with running_stack(tmp_path_factory.mktemp("hangs"), {}, "--only", SERVERS) as settings:
        yield settings


def status() -> tuple[int, dict[str, Any]]:
    shown = visionops("status", "--json")
    return shown.returncode, json.loads(shown.stdout)


def by_name(said: dict[str, Any]) -> dict[str, str]:
    return {server["name"]: server["status"] for server in said["servers"]}


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_all_servers_stopped(hanging: Settings, record_property: Any) -> None:
    """All servers under SIGSTOP at once: `status` says so of each within 15 s, and exits with 1."""
    code, said = status()
    assert code == 0, said
    pids = {server["name"]: server["pid"] for server in said["servers"]}
    begun_s = time.monotonic()
    with stopped(*pids.values()):

        def all_are_told_of() -> bool:
            code, said = status()
            return code == 1 and set(by_name(said).values()) == {"not answering"}

        eventually("all not answering", all_are_told_of, WITHIN_S)
        record_property("told after s", round(time.monotonic() - begun_s, 1))
    eventually("all ready again", lambda: status()[0] == 0, 60)
    assert {server["name"]: server["pid"] for server in status()[1]["servers"]} == pids


def test_the_supervisor_stopped(hanging: Settings) -> None:
    """The supervisor under SIGSTOP: `status` believes nothing that it said, and exits with 1."""
    supervisor = processes.read_identity(Paths(hanging.home).supervisor)
    assert supervisor
    with stopped(supervisor.pid):

        def is_told_of() -> bool:
            code, said = status()
            return code == 1 and "is not answering" in said["error"]

        eventually("supervisor not answering", is_told_of, WITHIN_S)
    eventually("ready again", lambda: status()[0] == 0, WITHIN_S)
