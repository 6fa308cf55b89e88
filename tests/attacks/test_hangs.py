"""Servers that hang and do not end, on a stack of its own."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos.disk import Disk, small_disk
from tests.stacks import running_stack, visionops
from tests.waiting import eventually
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.stack import processes, seaweedfs
from visionops_assets.stack.paths import Paths

WITHIN_S = 15.0
SERVERS = "relay,sweep,exporter,gateway"
WELL = {"ready", "external"}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk | None]:
    with small_disk(tmp_path_factory.mktemp("hangs") / seaweedfs.NAME) as disk:
        yield disk


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory, disk: Disk | None) -> Iterator[Settings]:
    home = disk.folder.parent if disk else tmp_path_factory.mktemp("hangs")
    with running_stack(home, {}, "--only", SERVERS) as settings:
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


def test_a_store_that_refuses_writes(hanging: Settings, disk: Disk | None) -> None:
    """The disk of the store is full: `status` says so within 15 s, and exits with 1."""
    if disk is None:
        pytest.skip("Only root can mount a disk that is to be filled.")
    assert status()[0] == 0
    disk.fill()
    try:
        with pytest.raises(ServerUnreachableError):
            ObjectStore().put("too-large", bytes(1_000_000))
        eventually("store in trouble", lambda: says_that_it_refuses_writes(status()), WITHIN_S)
    finally:
        disk.empty()
    eventually("ready again", lambda: status()[0] == 0, 60)


def says_that_it_refuses_writes(shown: tuple[int, dict[str, Any]]) -> bool:
    code, said = shown
    [store] = [server for server in said["servers"] if server["name"] == seaweedfs.NAME]
    return code == 1 and "refuses writes" in json.dumps(store)


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
