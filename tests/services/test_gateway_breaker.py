"""The circuit breaker, by a clock that does not tick."""

from contextlib import suppress

import pytest

from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    OverloadedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.services.gateway.breaker import BreakerState, CircuitBreaker

DOWN = ServerUnreachableError("It is down.")
SLOW = DeadlineExceededError("It is slow.")


class Triton:
    """A server behind a breaker that opens after 3 failures for 2 s."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.asked = 0
        self.refused = 0
        self.breaker = CircuitBreaker(3, 2.0, self._count_refusal, lambda: self.now_s)

    def _count_refusal(self) -> None:
        self.refused += 1

    def ask(self, outcome: VisionOpsError | None = None, *, is_patient: bool = True) -> None:
        with self.breaker.request(is_patient=is_patient):
            self.asked += 1
            if outcome is not None:
                raise outcome

    def state(self) -> BreakerState:
        return self.breaker.state

    def fail(self, times: int, outcome: VisionOpsError = DOWN) -> None:
        for _ in range(times):
            with pytest.raises(type(outcome)):
                self.ask(outcome)


@pytest.fixture
def triton() -> Triton:
    return Triton()


@pytest.mark.parametrize("failure", [DOWN, SLOW])
def test_it_opens_after_failures_in_a_row_and_refuses_without_asking(
    triton: Triton, failure: VisionOpsError
) -> None:
    triton.fail(2, failure)
    triton.ask()
    triton.fail(2, failure)
    assert triton.state() is BreakerState.CLOSED
    triton.fail(1, failure)
    assert triton.state() is BreakerState.OPEN
    with pytest.raises(ServerUnreachableError, match="left alone"):
        triton.ask()
    assert (triton.asked, triton.refused) == (6, 1)


@pytest.mark.parametrize("answer", [CorruptMediaError("x"), OverloadedError("x")])
def test_an_error_that_the_server_answers_is_no_failure(
    triton: Triton, answer: VisionOpsError
) -> None:
    triton.fail(2)
    triton.fail(1, answer)
    triton.fail(2)
    assert triton.state() is BreakerState.CLOSED


def test_an_impatient_client_says_nothing_about_the_server(triton: Triton) -> None:
    for _ in range(10):
        with suppress(DeadlineExceededError):
            triton.ask(SLOW, is_patient=False)
    assert triton.state() is BreakerState.CLOSED


def test_one_request_finds_out_whether_it_closes(triton: Triton) -> None:
    triton.fail(3)
    triton.now_s = 2.0
    assert triton.state() is BreakerState.HALF_OPEN
    with triton.breaker.request(), pytest.raises(ServerUnreachableError):
        triton.ask()
    assert triton.state() is BreakerState.CLOSED
    triton.ask()


def test_it_opens_again_if_that_one_fails(triton: Triton) -> None:
    triton.fail(3)
    triton.now_s = 2.0
    triton.fail(1)
    assert triton.state() is BreakerState.OPEN
    triton.now_s = 3.9
    assert triton.state() is BreakerState.OPEN
    triton.now_s = 4.0
    triton.ask()
    assert triton.state() is BreakerState.CLOSED


def test_a_probe_that_is_given_up_leaves_the_next_to_find_out(triton: Triton) -> None:
    triton.fail(3)
    triton.now_s = 2.0
    with pytest.raises(KeyboardInterrupt), triton.breaker.request():
        raise KeyboardInterrupt
    triton.ask()
    assert triton.state() is BreakerState.CLOSED
