"""How the gateway divides what it has among keys; whether others keep their rate beside one."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.services.gateway.line import Line
from visionops_assets.services.gateway.shares import (
    ACTIVE_S,
    COSTLY_S,
    WINDOW_S,
    Shares,
    Windows,
)

KEYS = "abcde"


@given(st.integers(2, 100), st.lists(st.sampled_from(KEYS), max_size=200))
def test_whoever_comes_last_finds_a_place_and_no_key_has_more_than_half(
    total: int, asking: list[str]
) -> None:
    shares, held = Shares(total), Counter[str]()
    for key in asking:
        if shares.fits(key):
            shares.take(key)
            held[key] += 1
    assert max(held.values(), default=0) <= max(1, total // 2)
    assert shares.held == held.total() <= total
    if len(held) == 1:
        assert shares.fits("newcomer")
    for key in held.elements():
        shares.give(key)
    assert shares.held == 0
    assert shares.fits(KEYS[0], total // 2)


def test_a_key_alone_has_all_of_triton_but_for_costly_images() -> None:
    windows = Windows(max_costly=1)
    for _ in range(100):
        assert windows.fits("a", COSTLY_S)
        windows.take("a", COSTLY_S)
    assert windows.fits("a", 2 * COSTLY_S)
    windows.take("a", 2 * COSTLY_S)
    assert not windows.fits("a", 2 * COSTLY_S)
    assert not windows.fits("b", 2 * COSTLY_S)
    assert windows.fits("b", COSTLY_S)


def test_several_keys_divide_the_window_as_long_as_they_are_there() -> None:
    now_s = 0.0
    windows = Windows(max_costly=1, clock_s=lambda: now_s)
    windows.take("a", WINDOW_S / 2)
    assert windows.fits("a", WINDOW_S)
    assert windows.fits("b", WINDOW_S)  # It has nothing under way.
    assert not windows.fits("a", WINDOW_S)
    windows.give("a", WINDOW_S / 2)
    windows.take("a", WINDOW_S / 4)
    assert windows.fits("a", WINDOW_S / 4)
    assert not windows.fits("a", WINDOW_S / 4 + 0.001)
    now_s = 2 * ACTIVE_S
    assert windows.fits("a", WINDOW_S)


def windows_of(
    keys: str, clock_s: Callable[[], float] = lambda: 0.0, max_costly: int = 1
) -> Windows:
    """Return windows that these keys have just looked through."""
    windows = Windows(max_costly, clock_s)
    for key in keys:
        assert windows.fits(key, 0.001)
    return windows


@pytest.mark.parametrize(("keys", "share_ms"), [("ab", 32), ("abcd", 16), ("abcdefgh", 16)])
def test_the_window_is_divided_but_not_into_splinters(keys: str, share_ms: int) -> None:
    windows = windows_of(keys)
    windows.take("a", 0.010)
    assert windows.fits("a", (share_ms - 10.1) / 1_000)
    assert not windows.fits("a", (share_ms - 9.9) / 1_000)


def test_a_key_whose_predictions_came_back_may_have_one_of_any_size() -> None:
    windows = windows_of("ab")
    windows.take("a", 0.010)
    windows.take("a", 0.010)
    windows.give("a", 0.010)
    assert not windows.fits("a", 0.045)
    windows.give("a", 0.010)
    assert windows.fits("a", 0.045)


def test_what_takes_more_than_50_ms_is_costly() -> None:
    windows = windows_of("ab")
    windows.take("a", 0.051)
    assert windows.fits("b", 0.05)
    assert not windows.fits("b", 0.051)


@pytest.mark.parametrize(
    ("keys", "cost_s", "max_costly", "rests"),
    [
        ("a", 1.0, 1, 0),  # Alone.
        ("ab", 0.01, 1, 0),  # Nobody feels it.
        ("ab", 0.03, 1, 2),  # It costs three times as much as others feel.
        ("ab", 0.05, 1, 4),
        ("ab", 1.0, 1, 7),  # An eighth of one of two instances is a sixteenth of both.
        ("abcdefghij", 1.0, 1, 7),
        ("ab", 1.0, 2, 3),
        ("ab", 1.0, 8, 0),  # One of 16 instances.
    ],
)
def test_a_key_rests_by_how_much_more_its_images_cost_than_those_of_others(
    keys: str, cost_s: float, max_costly: int, rests: float
) -> None:
    now_s = 10.0
    windows = windows_of(keys, lambda: now_s, max_costly)
    windows.take("a", cost_s)
    now_s = 10.2
    rest_s = windows.give("a", cost_s)
    assert rest_s == pytest.approx(0.2 * rests)
    if rests:
        now_s = 10.199 + rest_s
        assert not windows.fits("a", cost_s)
        assert windows.fits("a", 0.01)
    now_s = 10.201 + rest_s
    assert windows.fits("a", cost_s)


def test_keys_that_send_alike_do_not_rest() -> None:
    windows = Windows(max_costly=1, clock_s=lambda: 0.0)
    for key in "abc":
        assert windows.fits(key, 0.2)
    for key in "abc":
        windows.take(key, 0.2)
        assert windows.give(key, 0.2) == 0


def test_what_half_of_the_others_send_is_typical() -> None:
    windows = Windows(max_costly=1, clock_s=lambda: 1.0)
    for key, cost_s in zip("abcd", (0.2, 0.2, 0.02, 0.2), strict=True):
        assert windows.fits(key, cost_s)
    windows.take("a", 0.2)
    assert windows.give("a", 0.2) == 0
    # The newest ones of a key count.
    for _ in range(20):
        windows.take("b", 0.02)
        windows.give("b", 0.02)
    windows.take("a", 0.2)
    assert not windows.fits("d", 0.2)


def test_one_image_that_is_unlike_the_others_of_its_key_changes_little() -> None:
    now_s = 0.0
    windows = Windows(max_costly=1, clock_s=lambda: now_s)
    for key in "ab":
        assert windows.fits(key, 0.2)
    windows.take("b", 0.02)
    windows.take("a", 0.2)
    now_s = 1.0
    assert 0 < windows.give("a", 0.2) < 0.2


def test_several_under_way_take_no_longer_than_they_took_together() -> None:
    now_s = 0.0
    windows = windows_of("ab", lambda: now_s)
    rest_s = 0.0
    windows.take("a", 0.02)
    windows.take("a", 0.02)
    for now_s in (1.0, 3.0):  # noqa: B007 - the clock reads it
        rest_s += windows.give("a", 0.02)
    assert rest_s == pytest.approx(3.0)


@pytest.mark.parametrize(("after_s", "is_alone"), [(4.9, False), (5.1, True)])
def test_a_client_is_there_for_five_seconds_after_its_last_request(
    after_s: float, is_alone: bool
) -> None:
    now_s = 0.0
    windows = windows_of("ab", lambda: now_s)
    windows.take("a", 0.030)
    now_s = after_s
    assert windows.fits("a", 0.030) is is_alone


def test_a_client_whose_answer_takes_long_is_still_there() -> None:
    now_s = 0.0
    windows = windows_of("ab", lambda: now_s)
    windows.take("a", 0.030)
    windows.take("b", 0.030)
    now_s = 60.0
    assert not windows.fits("a", 0.030)


def test_keys_are_served_in_turns_and_a_key_in_order() -> None:
    async def use() -> list[str]:
        line, served = Line(Shares(1)), []
        started = asyncio.Event()

        async def ask(key: str, number: int) -> None:
            async with line.turn(key, 1):
                served.append(f"{key}{number}")
                if number == 0:
                    await started.wait()

        tasks = [asyncio.create_task(ask(key, n)) for key, n in zip("aaabb", range(5), strict=True)]
        await asyncio.sleep(0)
        started.set()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(use()) == ["a0", "a1", "b3", "a2", "b4"]


def test_whoever_gives_up_waiting_takes_nothing_along() -> None:
    async def use() -> None:
        shares = Shares(1)
        line = Line(shares)

        async def ask(patience_s: float | None = None) -> None:
            async with line.turn("a", 1, patience_s):
                pass

        async with line.turn("b", 1):
            cancelled = asyncio.create_task(ask())
            patient = asyncio.create_task(ask())
            with pytest.raises(TimeoutError):
                await ask(0.01)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            granted = asyncio.create_task(ask())
            await asyncio.sleep(0)
        granted.cancel()
        patient.cancel()  # It has its turn, and does not know it yet.
        await asyncio.gather(granted, patient, return_exceptions=True)
        assert shares.held == 0
        await ask()

    asyncio.run(use())


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing that is due: an hour takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        inner: Any = self
        if not inner._ready and inner._scheduled:
            self.now_s = max(self.now_s, inner._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def simulated(
    run: Callable[[VirtualTime], Coroutine[Any, Any, dict[str, float]]],
) -> dict[str, float]:
    loop = VirtualTime()
    try:
        return loop.run_until_complete(run(loop))
    finally:
        loop.close()


class Triton:
    """Instances that answer in the order in which they were asked, one image at a time."""

    def __init__(self, loop: VirtualTime, line: Line[float] | None, instances: int) -> None:
        self._instances = asyncio.Semaphore(instances)
        self._line = line
        self._loop = loop
        self.answers: Counter[str] = Counter()

    async def ask(self, key: str, cost_s: float) -> None:
        if self._line is None:
            await self._infer(cost_s)
        else:
            async with self._line.turn(key, cost_s):
                await self._infer(cost_s)
        self.answers[key] += 1

    async def _infer(self, cost_s: float) -> None:
        async with self._instances:
            await asyncio.sleep(cost_s)

    async def client(self, key: str, cost_s: float, connections: int) -> None:
        async def connection() -> None:
            chance = random.Random(0)
            while True:
                await self.ask(key, cost_s)
                await asyncio.sleep(chance.uniform(0.001, 0.003))

        await asyncio.gather(*(connection() for _ in range(connections)))


SMALL_S = 0.004
SIMULATED_S = 30


def rates(
    attack_s: float, instances: int, *, fair: bool = True, attackers: int = 1
) -> dict[str, float]:
    """Return the answers per second of two keys beside attackers with 16 connections each."""

    async def run(loop: VirtualTime) -> dict[str, float]:
        line = Line(Windows(1, loop.time)) if fair else None
        triton = Triton(loop, line, instances)
        clients = [triton.client(f"victim-{n}", SMALL_S, 1) for n in range(2)]
        if attack_s:
            clients += [triton.client(f"attacker-{n}", attack_s, 16) for n in range(attackers)]
        tasks = [asyncio.create_task(client) for client in clients]
        await asyncio.sleep(SIMULATED_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return {key: count / SIMULATED_S for key, count in triton.answers.items()}

    return simulated(run)


@pytest.mark.parametrize(
    ("instances", "attackers", "kept"), [(1, 1, 0.8), (2, 1, 0.8), (2, 4, 0.7)]
)
def test_others_keep_their_rate_beside_keys_that_send_the_costliest_images(
    instances: int, attackers: int, kept: float
) -> None:
    alone = rates(0.0, instances)
    beside = rates(0.9, instances, attackers=attackers)
    unfair = rates(0.9, instances, fair=False, attackers=attackers)
    for victim, rate in alone.items():
        assert beside[victim] >= kept * rate
        assert unfair.get(victim, 0) < 0.1 * rate
    assert beside["attacker-0"] > 0


@pytest.mark.parametrize("cost_s", [0.02, COSTLY_S, COSTLY_S + 0.01])
def test_others_keep_their_rate_beside_a_key_whatever_its_images_cost(cost_s: float) -> None:
    alone, beside = rates(0.0, 2), rates(cost_s, 2)
    assert min(beside[victim] / rate for victim, rate in alone.items()) >= 0.8
    assert beside["attacker-0"] * cost_s > 0.1


def test_costly_images_take_an_instance_where_all_send_them() -> None:
    beside = rates(0.2, 2, attackers=1)
    assert beside["attacker-0"] * 0.2 == pytest.approx(1 / 8, rel=0.2)

    async def alike(loop: VirtualTime) -> dict[str, float]:
        triton = Triton(loop, Line(Windows(1, loop.time)), 2)
        tasks = [asyncio.create_task(triton.client(key, 0.2, 4)) for key in KEYS]
        await asyncio.sleep(SIMULATED_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return {key: count / SIMULATED_S for key, count in triton.answers.items()}

    rates_alike = simulated(alike)
    assert sum(rates_alike.values()) * 0.2 == pytest.approx(1, rel=0.05)
    assert max(rates_alike.values()) < 1.2 * min(rates_alike.values())


def test_what_takes_50_ms_is_not_counted_as_costly() -> None:
    windows = windows_of("ab")
    windows.take("a", COSTLY_S)
    assert windows.fits("b", COSTLY_S + 0.001)
    windows.take("b", COSTLY_S + 0.001)
    windows.give("a", COSTLY_S)
    assert not windows.fits("c", COSTLY_S + 0.001), "that of b is under way"
    windows.give("b", COSTLY_S + 0.001)
    assert windows.fits("c", COSTLY_S + 0.001)
