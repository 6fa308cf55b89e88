import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import StackError
from visionops_assets.stack import control, processes, state, supervisor, vigil
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.runner import backoff_s
from visionops_assets.stack.server import Probe, Server
from visionops_assets.stack.state import ServerState, StackState, Status, read_state, write_state
from visionops_assets.stack.supervisor import exclusive, supervise

SLEEPER = ("sleep", "60")


def always(_started_at_s: float) -> bool:
    return True


def server(
    name: str,
    *needs: str,
    command: tuple[str, ...] = SLEEPER,
    probe: Probe = always,
    start_timeout_s: float = 5,
    setup: Callable[[], None] = lambda: None,
) -> Server:
    return Server(
        name=name,
        address=f"{name}:1",
        command=command,
        probe=probe,
        needs=needs,
        setup=setup,
        start_timeout_s=start_timeout_s,
        stop_timeout_s=2,
    )


class Stack:
    """A supervisor in a thread of the test."""

    def __init__(self, home: Path, servers: tuple[Server, ...]):
        self.paths = Paths(home)
        self.paths.create()
        self.stopping = threading.Event()
        arguments = (servers, dict(os.environ), self.paths, self.stopping)
        self.thread = threading.Thread(target=supervise, args=arguments)

    @property
    def state(self) -> StackState:
        state = read_state(self.paths.state)
        return state or StackState(supervisor_pid=0)

    def __getitem__(self, name: str) -> ServerState:
        return next(server for server in self.state.servers if server.name == name)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.state
            time.sleep(0.02)


@contextmanager
def running(home: Path, *servers: Server) -> Iterator[Stack]:
    stack = Stack(home, servers)
    stack.thread.start()
    try:
        yield stack
    finally:
        stack.stopping.set()
        stack.thread.join(20)
    assert not stack.thread.is_alive()


@given(st.integers(1, 10_000))
def test_the_pause_grows_up_to_its_limit(crashes: int) -> None:
    assert 0.5 <= backoff_s(crashes) <= backoff_s(crashes + 1) <= 30


def test_the_first_pauses() -> None:
    assert [backoff_s(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 16, 30]


def test_servers_start_after_and_stop_before_what_they_need(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    script = "echo +$0 >> $1; trap 'echo -$0 >> $1; exit' TERM; while :; do sleep 0.02; done"

    def marking(name: str, *needs: str) -> Server:
        def has_started(_started_at_s: float) -> bool:
            return marks.exists() and f"+{name}" in marks.read_text()

        command = ("sh", "-c", script, name, str(marks))
        return server(name, *needs, command=command, probe=has_started)

    servers = (marking("store"), marking("broker", "store"), marking("api", "broker"))
    with running(tmp_path, *servers) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
    expected = ["+store", "+broker", "+api", "-api", "-broker", "-store"]
    assert marks.read_text().split() == expected
    assert {s.status for s in stack.state.servers} == {Status.STOPPED}
    assert not list(stack.paths.run.glob("*.pid"))


def test_a_crashed_server_is_restarted_and_counted(tmp_path: Path) -> None:
    with running(tmp_path, server("store"), server("api", "store")) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        first, api = stack["store"].pid, stack["api"].pid
        assert first
        os.kill(first, signal.SIGKILL)
        stack.wait_until(lambda: stack["store"].restarts == 1)
        stack.wait_until(lambda: stack.state.is_ready)
        assert stack["store"].pid != first
        assert stack["api"].pid == api


def test_children_of_a_crashed_server_do_not_outlive_it(tmp_path: Path) -> None:
    family = server("triton", command=("sh", "-c", "sleep 60 & exec sleep 60"))
    with running(tmp_path, family) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        first = stack["triton"].pid
        assert first
        stack.wait_until(lambda: len(list(processes.session_members(first))) == 2)
        os.kill(first, signal.SIGKILL)
        stack.wait_until(lambda: stack["triton"].restarts == 1)
        assert list(processes.session_members(first)) == []


def test_a_server_that_never_comes_up_stops_the_stack(tmp_path: Path) -> None:
    broken = server(
        "broken", command=("sh", "-c", "echo no such luck; exit 3"), probe=lambda _: False
    )
    stack = Stack(tmp_path, (server("store"), broken, server("api", "broken")))
    stack.thread.start()
    stack.thread.join(20)
    assert stack["broken"].status is Status.FAILED
    assert "code 3" in stack["broken"].message
    assert stack["store"].status is stack["api"].status is Status.STOPPED
    assert "no such luck" in stack.paths.log("broken").read_text()


def test_a_server_that_keeps_ending_during_the_start_stops_the_stack(tmp_path: Path) -> None:
    slow = server("slow", probe=lambda _: False, start_timeout_s=30)
    shaky = server("shaky", command=("sh", "-c", "sleep 0.3; exit 3"))
    stack = Stack(tmp_path, (slow, shaky))
    stack.thread.start()
    stack.thread.join(20)
    assert stack["shaky"].ready_at_s
    assert stack["shaky"].status is Status.FAILED
    assert "3 times" in stack["shaky"].message
    assert stack["slow"].status is Status.STOPPED


def test_up_shows_the_log_of_a_server_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed_start(paths: Paths, _only: frozenset[str]) -> processes.ProcessIdentity:
        command = ("sh", "-c", "echo no such luck; exit 3")
        supervise(
            [server("broken", command=command, probe=lambda _: False)],
            dict(os.environ),
            paths,
            threading.Event(),
        )
        me = processes.identify(os.getpid())
        return me.model_copy(update={"start_ticks": me.start_ticks + 1})

    monkeypatch.setattr(control, "_spawn_supervisor", failed_start)
    with pytest.raises(StackError, match=r"no such luck[\s\S]*broken did not come up.*code 3"):
        control.start(tmp_path, frozenset(), lambda _state: None)


def test_up_does_not_wait_without_end_for_a_server_that_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_RECOVERY_TIMEOUT_S", 0.2)
    lost = ServerState(
        name="db",
        address="",
        log=str(tmp_path / "db.log"),
        status=Status.RESTARTING,
        message="disk full",
    )
    paths = Paths(tmp_path)
    paths.create()
    processes.write_record(paths.supervisor, processes.identify(os.getpid()))
    state = StackState(supervisor_pid=os.getpid(), servers=(lost,), was_up=True)
    write_state(paths.state, state)
    with pytest.raises(StackError, match="db is restarting: disk full"):
        control.start(tmp_path, frozenset(), lambda _state: None)


def test_a_server_that_does_not_answer_in_time_fails(tmp_path: Path) -> None:
    mute = server("mute", probe=lambda _: False, start_timeout_s=0.3)
    stack = Stack(tmp_path, (mute,))
    stack.thread.start()
    stack.thread.join(20)
    assert stack["mute"].status is Status.FAILED
    assert "did not answer" in stack["mute"].message


def test_a_failing_setup_fails_the_server(tmp_path: Path) -> None:
    def refuse() -> None:
        raise StackError("no such database")

    stack = Stack(tmp_path, (server("db", setup=refuse),))
    stack.thread.start()
    stack.thread.join(20)
    assert (stack["db"].status, stack["db"].message) == (Status.FAILED, "no such database")


def test_another_program_at_its_address_does_not_make_a_server_ready(tmp_path: Path) -> None:
    def foreign_answer(_started_at_s: float) -> bool:
        time.sleep(0.3)
        return True

    stack = Stack(tmp_path, (server("store", command=("false",), probe=foreign_answer),))
    stack.thread.start()
    stack.thread.join(20)
    assert stack["store"].status is Status.FAILED
    assert stack["store"].ready_at_s is None


def test_a_server_that_cannot_be_started_again_is_tried_further(tmp_path: Path) -> None:
    starts: list[None] = []

    def fail_later() -> None:
        starts.append(None)
        if len(starts) > 1:
            raise OSError("no space left")

    with running(tmp_path, replace(server("store"), prepare=fail_later)) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        os.kill(stack["store"].pid or 0, signal.SIGKILL)
        stack.wait_until(lambda: stack["store"].message == "no space left")
        assert stack["store"].status is Status.RESTARTING


def test_an_external_server_is_probed_and_never_started(tmp_path: Path) -> None:
    with running(tmp_path, server("kafka", command=())) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        assert (stack["kafka"].status, stack["kafka"].pid) == (Status.EXTERNAL, None)


def impatient(name: str, is_answering: Callable[[], bool], **changes: Any) -> Server:
    return replace(server(name, probe=lambda _: is_answering()), patience_s=0.3, **changes)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "ASK_EVERY_S", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_server_that_hangs_is_told_of_and_restarted(tmp_path: Path) -> None:
    answering = threading.Event()
    answering.set()
    with running(tmp_path, impatient("store", answering.is_set)) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        first = stack["store"].pid
        answering.clear()
        stack.wait_until(lambda: stack["store"].status is Status.NOT_ANSWERING)
        assert not stack.state.is_ready
        stack.wait_until(lambda: stack["store"].restarts == 1)
        assert "did not answer for 0 s" in stack["store"].message
        answering.set()
        stack.wait_until(lambda: stack.state.is_ready)
        assert stack["store"].pid != first


@pytest.mark.usefixtures("quick")
def test_a_stopped_process_is_told_of_and_restarted(tmp_path: Path) -> None:
    with running(tmp_path, impatient("store", lambda: True)) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        first = stack["store"].pid
        assert first
        os.kill(first, signal.SIGSTOP)
        stack.wait_until(lambda: stack["store"].status is Status.NOT_ANSWERING)
        assert stack["store"].message == "stopped by a signal"
        stack.wait_until(lambda: stack["store"].restarts == 1)
        stack.wait_until(lambda: stack.state.is_ready)


@pytest.mark.usefixtures("quick")
def test_a_server_that_answers_again_in_time_is_let_be(tmp_path: Path) -> None:
    answering = threading.Event()
    answering.set()
    patient = replace(impatient("store", answering.is_set), patience_s=60)
    with running(tmp_path, patient) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        first = stack["store"]
        answering.clear()
        stack.wait_until(lambda: not stack.state.is_ready)
        answering.set()
        stack.wait_until(lambda: stack.state.is_ready)
        assert stack["store"] == first


@pytest.mark.usefixtures("quick")
def test_a_server_is_not_restarted_for_what_it_needs(tmp_path: Path) -> None:
    answering = {name: threading.Event() for name in ("store", "api")}
    for event in answering.values():
        event.set()
    store = replace(impatient("store", answering["store"].is_set), patience_s=60)
    api = impatient("api", answering["api"].is_set, needs=("store",))
    with running(tmp_path, store, api) as stack:

        def is_silent(name: str) -> bool:
            return stack[name].status is Status.NOT_ANSWERING

        stack.wait_until(lambda: stack.state.is_ready)
        for name, event in answering.items():
            event.clear()
            stack.wait_until(partial(is_silent, name))
        time.sleep(1)
        assert stack["api"].restarts == 0


@pytest.mark.usefixtures("quick")
def test_an_external_server_that_hangs_is_told_of(tmp_path: Path) -> None:
    answering = threading.Event()
    answering.set()
    with running(tmp_path, impatient("kafka", answering.is_set, command=())) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        answering.clear()
        stack.wait_until(lambda: stack["kafka"].status is Status.NOT_ANSWERING)
        time.sleep(0.5)
        answering.set()
        stack.wait_until(lambda: stack["kafka"].status is Status.EXTERNAL)
        assert stack["kafka"].restarts == 0


def test_a_silent_supervisor_is_not_believed(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    processes.write_record(paths.supervisor, processes.identify(os.getpid()))
    ready = ServerState(name="db", address="", log="", status=Status.READY)

    def looked_at(age_s: float) -> StackState:
        said = StackState(
            supervisor_pid=os.getpid(), servers=(ready,), written_at_s=time.time() - age_s
        )
        write_state(paths.state, said)
        return control.look(tmp_path) or said

    assert looked_at(5).is_ready
    silent = looked_at(12)
    assert not silent.is_ready
    assert f"The supervisor (pid {os.getpid()}) is not answering" in silent.error


def test_the_supervisor_goes_on_saying_how_its_servers_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SIGN_EVERY_S", 0.05)
    with running(tmp_path, server("store")) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        said_at_s = stack.state.written_at_s or 0
        stack.wait_until(lambda: (stack.state.written_at_s or 0) > said_at_s)


def test_logs_are_bounded_while_servers_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SIGN_EVERY_S", 0.05)
    monkeypatch.setattr("visionops_assets.stack.paths._ROTATE_BYTES", 10_000)
    talker = server("talker", command=("sh", "-c", "while :; do echo 'so it goes'; done"))
    with running(tmp_path, talker) as stack:
        aside = tmp_path / "logs" / "talker.log.1"
        stack.wait_until(aside.exists)
        first = aside.stat().st_ino
        stack.wait_until(lambda: aside.stat().st_ino != first)
        assert aside.stat().st_size == 10_000
        assert stack["talker"].restarts == 0


def test_a_full_disk_does_not_end_the_supervision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()

    def write(path: Path, said: StackState) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")
        write_state(path, said)

    monkeypatch.setattr(state, "write_state", write)
    with running(tmp_path, server("store")) as stack:
        stack.wait_until(lambda: stack.state.is_ready)
        full.set()
        os.kill(stack["store"].pid or 0, signal.SIGKILL)
        time.sleep(0.5)
        full.clear()
        stack.wait_until(lambda: stack["store"].restarts == 1 and stack.state.is_ready)


def test_a_state_folder_has_one_supervisor(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    with exclusive(paths):
        assert processes.read_identity(paths.supervisor)
        with pytest.raises(StackError, match="already runs"), exclusive(paths):
            pass


KILLED_SUPERVISOR = """
import os, sys, threading
from pathlib import Path
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.server import Server
from visionops_assets.stack.supervisor import exclusive, supervise

paths = Paths(Path(sys.argv[1]))
paths.create()
probe = lambda _: True
family = ("sh", "-c", "sleep 60 & exec sleep 60")
servers = [Server(name=n, address="", command=family, probe=probe) for n in ("store", "api")]
with exclusive(paths):
    supervise(servers, dict(os.environ), paths, threading.Event())
"""


def test_what_a_killed_supervisor_left_is_seen_and_ended(tmp_path: Path) -> None:
    command = (sys.executable, "-c", KILLED_SUPERVISOR, str(tmp_path))
    stack = Stack(tmp_path, ())
    with subprocess.Popen(command) as supervisor:
        stack.wait_until(lambda: stack.state.is_ready)
        supervisor.kill()
    pids = [server.pid or 0 for server in stack.state.servers]
    looked_at = control.look(tmp_path)
    assert looked_at
    assert {server.status for server in looked_at.servers} == {Status.ORPHANED}
    assert control.stop(tmp_path, lambda _state: None)
    assert [list(processes.session_members(pid)) for pid in pids] == [[], []]
    looked_at = control.look(tmp_path)
    assert looked_at
    assert {server.status for server in looked_at.servers} == {Status.STOPPED}
    assert not control.stop(tmp_path, lambda _state: None)
