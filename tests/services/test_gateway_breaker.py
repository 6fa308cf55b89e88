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
from visionops_assets.services.gateway.breaker import Breakers, BreakerState, CircuitBreaker

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

    def ask(
        self,
        outcome: VisionOpsError | None = None,
        *,
        counts: type[VisionOpsError] | None = ServerUnreachableError,
    ) -> None:
        with self.breaker.request(counts):
            self.asked += 1
            if outcome is not None:
                raise outcome

    def state(self) -> BreakerState:
        return self.breaker.state

    def fail(self, times: int, outcome: VisionOpsError = DOWN) -> None:
        for _ in range(times):
            with pytest.raises(type(outcome)):
                self.ask(outcome, counts=type(outcome))


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


@pytest.mark.parametrize("counts", [ServerUnreachableError, None])
def test_a_failure_that_does_not_count_says_nothing(
    triton: Triton, counts: type[VisionOpsError] | None
) -> None:
    triton.fail(2)
    for _ in range(10):
        with suppress(DeadlineExceededError):
            triton.ask(SLOW, counts=counts)
    assert triton.state() is BreakerState.CLOSED
    triton.fail(1)
    assert triton.state() is BreakerState.OPEN


def test_one_request_finds_out_whether_it_closes(triton: Triton) -> None:
    triton.fail(3)
    triton.now_s = 2.0
    assert triton.state() is BreakerState.HALF_OPEN
    with triton.breaker.request(None), pytest.raises(ServerUnreachableError):
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
    with pytest.raises(KeyboardInterrupt), triton.breaker.request(None):
        raise KeyboardInterrupt
    triton.ask()
    assert triton.state() is BreakerState.CLOSED


def breakers() -> Breakers:
    return Breakers(lambda: CircuitBreaker(3, 2.0, lambda: None, lambda: 0.0))


def fail(subject: Breakers, client: str, error: VisionOpsError, *, is_patient: bool = True) -> None:
    with suppress(type(error)), subject.request(client, is_patient=is_patient):
        raise error


def test_answers_that_come_too_late_count_against_their_client_alone() -> None:
    subject = breakers()
    for _ in range(3):
        fail(subject, "attacker", SLOW)
    assert subject.state("attacker") is BreakerState.OPEN
    assert subject.state("victim") is BreakerState.CLOSED
    assert subject.worst_state() is BreakerState.OPEN
    with subject.request("victim", is_patient=True):
        pass


def test_a_server_that_cannot_be_reached_is_left_alone_by_everybody() -> None:
    subject = breakers()
    for client in "abc":
        fail(subject, client, DOWN)
    assert subject.state("d") is BreakerState.OPEN


def test_a_server_that_hangs_is_found_out_about_by_each_client() -> None:
    subject = breakers()
    for client in "ab" * 3:
        fail(subject, client, SLOW)
    assert [subject.state(client) for client in "ab"] == [BreakerState.OPEN] * 2


def test_an_impatient_client_says_nothing_about_the_server() -> None:
    subject = breakers()
    for _ in range(5):
        fail(subject, "a", SLOW, is_patient=False)
    assert subject.worst_state() is BreakerState.CLOSED


def test_clients_that_did_not_fail_lately_are_not_kept() -> None:
    subject = breakers()
    fail(subject, "a", SLOW)
    for client in "ab":
        with subject.request(client, is_patient=True):
            pass
    assert subject._of_clients == {}


def test_it_is_open_from_the_last_failure_on(triton: Triton) -> None:
    """However long the server has run, and however long ago the first failures were."""
    triton.now_s = 100.0
    triton.fail(2)
    triton.now_s = 110.0
    triton.fail(1)
    triton.now_s = 111.9
    assert triton.state() is BreakerState.OPEN
    triton.now_s = 112.0
    assert triton.state() is BreakerState.HALF_OPEN


def test_requests_that_were_under_way_do_not_prolong_it(triton: Triton) -> None:
    with suppress(ServerUnreachableError), triton.breaker.request(ServerUnreachableError):
        triton.fail(3)
        triton.now_s = 1.0
        raise DOWN
    triton.now_s = 2.0
    assert triton.state() is BreakerState.HALF_OPEN


def test_a_refusal_says_how_often_it_failed_and_when_to_come_again(triton: Triton) -> None:
    triton.fail(3)
    with pytest.raises(ServerUnreachableError) as refusal:
        triton.ask()
    assert str(refusal.value) == (
        "The model server failed 3 times in a row and is left alone for 2 s. Try again then."
    )
