"""Who comes again sooner than it was told waits for its refusal, and nobody else does."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from visionops_assets.services.http import slow_refusals
from visionops_assets.services.http.server import client_of, note_key_prefix
from visionops_assets.services.http.slow_refusals import PAUSE_S, SlowRefusals


class Asked:
    """An application that answers with a status, and whether it slept meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []
        self._app = SlowRefusals(self._answer, client_of, lambda: self.now_s)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    def slept(self, status: int, key: str | None = "a", address: str = "10.0.0.1") -> float:
        """Ask with a valid key or without, and return how long the answer was held back."""
        before = sum(self.slept_s)
        self._status, self._key = status, key
        sent: list[Any] = []
        asyncio.run(self._ask({"type": "http", "client": (address, 1)}, sent))
        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
        ]
        return sum(self.slept_s) - before

    async def _ask(self, scope: Scope, sent: list[Any]) -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any: ...

        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._key is not None:
            note_key_prefix(scope, self._key)
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_the_first_refusal_is_given_at_once_and_the_next_after_a_pause(asked: Asked) -> None:
    assert asked.slept(429) == 0
    asked.now_s += 0.25
    assert asked.slept(429) == pytest.approx(PAUSE_S - 0.25)
    asked.now_s += 0.25
    assert asked.slept(429) == pytest.approx(PAUSE_S - 0.5)


def test_who_comes_again_when_it_was_told_is_refused_at_once(asked: Asked) -> None:
    asked.slept(429)
    asked.now_s += PAUSE_S
    assert asked.slept(429) == 0


@pytest.mark.parametrize("status", [200, 401, 422, 503])
def test_other_answers_are_never_held_back(asked: Asked, status: int) -> None:
    asked.slept(429)
    assert asked.slept(status) == 0


def test_each_key_and_each_address_without_one_counts_alone(asked: Asked) -> None:
    asked.slept(429)
    assert asked.slept(429, "b") == 0
    assert asked.slept(429, None) == 0
    assert asked.slept(429, None, "10.0.0.2") == 0
    assert asked.slept(429, None) > 0
    assert asked.slept(429, "a", "10.0.0.3") > 0


def test_clients_are_forgotten_before_there_are_too_many(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_refusals, "MAX_CLIENTS", 2)
    assert [asked.slept(429, key) for key in ("a", "b", "c", "c")] == [0, 0, 0, 0]
    assert asked.slept(429, "a") > 0
    asked.now_s += PAUSE_S
    assert asked.slept(429, "c") == 0
    assert asked.slept(429, "c") > 0
