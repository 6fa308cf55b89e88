"""A server that hangs is told of, and when patience with it ends. Time is given."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import eventually
from visionops_assets.stack import processes, vigil
from visionops_assets.stack.probes import (
    accepts_connections,
    answers_http,
    answers_http2,
    answers_kafka,
)
from visionops_assets.stack.server import Probe, Server, Trouble
from visionops_assets.stack.vigil import ASK_EVERY_S, MISSES, SILENT, WORKS_EVERY_S, Vigil

FULL = Trouble("refuses writes", may_pass_by_restart=False)


class Asked:
    """A server whose answers are given, and the time that passes between the questions."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.answers = True
        self.trouble: Trouble | None = None
        self.shown = 0
        self.signs_after_s = 0.0
        described = Server(
            name="asked", address="", probe=self._probe, works=self._works, silence_s=50
        )
        self.vigil = Vigil(described, None, now=lambda: self.now_s)

    def _probe(self, signs_after_s: float) -> bool:
        self.signs_after_s = signs_after_s
        return self.answers

    def _works(self) -> Trouble | None:
        self.shown += 1
        return self.trouble

    def after(self, seconds: float, *, is_patient: bool = False) -> Trouble | None:
        self.now_s += seconds
        self.vigil.ask(is_patient=is_patient)
        return self.vigil.trouble


def test_one_missed_answer_is_not_told_of_and_two_are() -> None:
    asked = Asked()
    assert asked.after(ASK_EVERY_S) is None
    asked.answers = False
    assert [asked.after(ASK_EVERY_S) for _ in range(MISSES)] == [None, SILENT]
    asked.answers = True
    assert asked.after(ASK_EVERY_S) is None
    assert asked.vigil.lasted_s == 0


def test_it_is_told_of_within_ten_seconds_whatever_the_questions_take() -> None:
    probe_takes_s = 2.0
    assert MISSES * (ASK_EVERY_S + probe_takes_s) < 10
    assert WORKS_EVERY_S + ASK_EVERY_S + MISSES * probe_takes_s < 15


def test_signs_of_life_may_be_old_but_not_older_than_described() -> None:
    asked = Asked()
    asked.after(ASK_EVERY_S)
    assert asked.signs_after_s == pytest.approx(time.time() - 50, abs=5)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=30))
def test_only_time_in_which_it_was_asked_in_vain_counts(steps: list[tuple[float, bool]]) -> None:
    """A machine that slept, or a supervisor that was stopped, is no reason to restart a server."""
    asked = Asked()
    asked.answers = False
    for waited_s, is_patient in steps:
        before_s = asked.vigil.lasted_s
        asked.after(waited_s, is_patient=is_patient)
        most_s = 0 if is_patient else ASK_EVERY_S
        assert before_s <= asked.vigil.lasted_s <= before_s + most_s


def test_a_server_that_answers_and_does_not_work_is_told_of_and_may_be_let_be() -> None:
    asked = Asked()
    asked.trouble = FULL
    asked.after(WORKS_EVERY_S)
    assert asked.after(ASK_EVERY_S) == FULL
    assert asked.vigil.lasted_s == 0
    asked.trouble = Trouble("refuses writes, though there is room")
    assert asked.after(ASK_EVERY_S) == asked.trouble
    assert asked.vigil.lasted_s == ASK_EVERY_S
    asked.trouble = None
    assert asked.after(ASK_EVERY_S) is None


def test_one_that_works_is_seldom_asked_to_show_it() -> None:
    asked = Asked()
    for _ in range(20):
        asked.after(ASK_EVERY_S)
    assert asked.shown == 20 * ASK_EVERY_S / WORKS_EVERY_S


def test_a_stopped_process_of_a_session_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    family = subprocess.Popen(("sh", "-c", "sleep 60 & exec sleep 60"), start_new_session=True)
    try:
        described = Server(name="asked", address="", probe=lambda _: True)
        watched = Vigil(described, family.pid)
        monkeypatch.setattr(vigil, "ASK_EVERY_S", 0.0)
        watched.ask()
        assert watched.trouble is None
        while len(members := list(processes.session_members(family.pid))) < 2:
            time.sleep(0.01)
        (child,) = set(members) - {family.pid}
        os.kill(child, signal.SIGSTOP)
        # A busy machine takes its time to stop a process, and to let it go on.
        eventually("stopped", lambda: watched.ask() and watched.trouble == vigil.STOPPED)
        os.kill(child, signal.SIGCONT)
        eventually("going on", lambda: watched.ask() and watched.trouble is None)
    finally:
        processes.reap(family)


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of a process that hangs: its kernel accepts, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "asks", [answers_kafka, answers_http2, lambda at: answers_http(f"http://{at}")]
)
def test_to_be_connected_is_no_answer(mute: str, asks: Callable[[str], Probe]) -> None:
    assert accepts_connections(mute)(0)
    assert not asks(mute)(0)


@pytest.mark.parametrize(
    ("asks", "answer", "is_one"),
    [
        (answers_kafka, "0000000a 00000001 0000", True),
        (answers_kafka, "0000000a 00000002 0000", False),
        (answers_http2, "000000 04 00 00000000", True),
        (answers_http2, "000000 07 00 00000000", False),
        (answers_http2, "000000 04", False),
    ],
)
def test_what_counts_as_an_answer(asks: Callable[[str], Probe], answer: str, is_one: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(bytes.fromhex(answer))

        thread = threading.Thread(target=serve)
        thread.start()
        assert asks(f"127.0.0.1:{listening.getsockname()[1]}")(0) is is_one
        thread.join()
