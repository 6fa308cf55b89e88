import threading
import time
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from visionops_assets.contracts import MediaKind
from visionops_assets.services.camera.backlog import Backlog, Capture

MAX_BYTES = 100


def capture(number: int, size: int = 10) -> Capture:
    began_at = datetime(2026, 1, 1, 12, 0, number % 60, tzinfo=UTC)
    return Capture(MediaKind.VIDEO, began_at, number.to_bytes(4, "big") + bytes(size))


class BacklogMachine(RuleBasedStateMachine):
    """Against a plain list: what is held, in which order, and how much was dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(MAX_BYTES)
        self.held: list[Capture] = []
        self.taken: Capture | None = None
        self.added = self.finished = 0

    def held_bytes(self) -> int:
        return sum(len(held.content) for held in self.held)

    @rule(size=st.integers(0, MAX_BYTES + 20))
    def add(self, size: int) -> None:
        added = capture(self.added, size)
        self.added += 1
        self.held.append(added)
        self.backlog.add(added)
        while self.held_bytes() > MAX_BYTES:
            self.held.pop(1 if self.taken else 0)

    @rule()
    def take(self) -> None:
        expected = self.held[0] if self.held else None
        self.taken = self.backlog.take(0)
        assert self.taken is expected

    @rule()
    def done(self) -> None:
        self.backlog.done()
        if self.taken:
            self.held.remove(self.taken)
            self.finished += 1
            self.taken = None

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.backlog.waiting == len(self.held)
        assert self.backlog.held_bytes == self.held_bytes() <= MAX_BYTES
        assert self.backlog.dropped == self.added - self.finished - len(self.held)


TestBacklog = BacklogMachine.TestCase


def test_a_camera_may_hold_64_mib() -> None:
    backlog, content = Backlog(), bytes(16 * 1024**2)
    for number in range(4):
        backlog.add(Capture(MediaKind.VIDEO, datetime(2026, 1, 1, number, tzinfo=UTC), content))
    assert (backlog.waiting, backlog.dropped) == (4, 0)
    backlog.add(Capture(MediaKind.IMAGE, datetime(2026, 1, 2, tzinfo=UTC), b"x"))
    assert (backlog.waiting, backlog.dropped) == (4, 1)


def test_two_threads_lose_nothing_uncounted() -> None:
    backlog, done = Backlog(MAX_BYTES), 0

    def fill() -> None:
        for number in range(5_000):
            backlog.add(capture(number))

    filler = threading.Thread(target=fill)
    filler.start()
    while filler.is_alive() or backlog.waiting:
        if backlog.take(0.01):
            backlog.done()
            done += 1
    filler.join()
    assert done + backlog.dropped == 5_000
    assert backlog.held_bytes == 0


def test_taking_waits_for_a_capture() -> None:
    backlog = Backlog(MAX_BYTES)
    later = threading.Timer(0.05, backlog.add, [capture(1)])
    later.start()
    assert backlog.take(10) == capture(1)
    later.join()


def test_whoever_waits_gets_a_capture_as_soon_as_there_is_one() -> None:
    backlog = Backlog()
    found: list[Capture | None] = []
    waiting = threading.Thread(target=lambda: found.append(backlog.take(30)))
    waiting.start()
    began_s = time.monotonic()
    backlog.add(capture(1))
    waiting.join(20)
    assert found == [capture(1)]
    assert time.monotonic() - began_s < 15


def test_a_camera_has_64_mib_while_ingest_is_away() -> None:
    backlog = Backlog()
    half = Capture(MediaKind.VIDEO, capture(0).captured_at, bytes(32 * 1024**2))
    for _ in range(2):
        backlog.add(half)
    assert (backlog.waiting, backlog.dropped) == (2, 0)
    backlog.add(capture(1))
    assert (backlog.waiting, backlog.dropped) == (2, 1)
