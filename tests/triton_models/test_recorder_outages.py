"""What the recorder does while the queue takes nothing: it keeps to its capacity, sends once."""

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.triton_models.test_recorder import Counts, FakeProducer, answered, recorder

__all__ = ["recorder"]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


@pytest.mark.parametrize("fate", ["refused", "lost"])
def test_what_is_not_acknowledged_takes_its_place_among_what_waits(
    recorder: ModuleType, fate: str
) -> None:
    """Else an outage would hold as many again as were taken from the queue of those that wait."""
    producer, counts = FakeProducer([fate] * 10_000), Counts()
    subject = recorder.Recorder(lambda: producer, "predictions", counts.add, capacity=3)
    kept = [answered(recorder) for _ in range(3)]
    for one in kept:
        subject.record(one)
    wait_until(lambda: not subject._waiting and len(subject._unacknowledged) == 3)
    for _ in range(4):
        subject.record(answered(recorder))
    producer.fates.clear()
    subject.close()
    assert (counts.recorded, counts.dropped) == (3, 4)
    stored = [key.decode() for _, key, _ in producer.stored]
    assert stored == [str(one.prediction_id) for one in kept]


@pytest.mark.parametrize("fate", ["refused", "lost"])
def test_a_producer_that_failed_is_closed_before_another_sends_again(
    recorder: ModuleType, fate: str
) -> None:
    """It may hold the message still, and would deliver it a second time."""
    opened: list[FakeProducer] = []

    def connect() -> Any:
        assert all(before.closed for before in opened)
        opened.append(FakeProducer([fate] if not opened else []))
        return opened[-1]

    counts = Counts()
    subject = recorder.Recorder(connect, "predictions", counts.add)
    subject.record(answered(recorder))
    wait_until(lambda: counts.recorded == 1)
    subject.close()
    assert [producer.closed for producer in opened] == [1, 1]
    assert [len(producer.stored) for producer in opened] == [0, 1]
