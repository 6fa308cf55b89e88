"""Requests that wait for their turn: keys take turns, and a key's requests come in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

_Amount = TypeVar("_Amount")
_Asked_contra = TypeVar("_Asked_contra", contravariant=True)


class Budget(Protocol[_Asked_contra]):
    """Says which key may have how much, as `Shares` and `Windows` do."""

    def fits(self, key: str, amount: _Asked_contra, /) -> bool:
        """Say whether the key may take so much now."""

    def take(self, key: str, amount: _Asked_contra, /) -> None:
        """Count it."""

    def give(self, key: str, amount: _Asked_contra, /) -> float:
        """Stop counting it, and return after how many seconds the key may have more."""


class Line(Generic[_Amount]):
    """Waits until a budget has enough. It must be used within one event loop."""

    def __init__(self, budget: Budget[_Amount]) -> None:
        self._budget = budget
        self._waiting: dict[str, deque[tuple[_Amount, asyncio.Future[None]]]] = {}

    @asynccontextmanager
    async def turn(
        self, key: str, amount: _Amount, patience_s: float | None = None
    ) -> AsyncIterator[None]:
        """Hold an amount for the length of the block, once there is enough.

        Raises:
            TimeoutError: there was not enough within `patience_s`; the block was not entered.
        """
        if key not in self._waiting and self._budget.fits(key, amount):
            self._budget.take(key, amount)
        else:
            await self._wait(key, amount, patience_s)
        try:
            yield
        finally:
            self._give(key, amount)

    def wake(self) -> None:
        """Give turns: one to each key that may have one, and again until no key may."""
        while sum(self._serve_first(key) for key in list(self._waiting)):
            pass

    def _serve_first(self, key: str) -> bool:
        queue = self._waiting[key]
        amount, turn = queue[0]
        if not turn.cancelled():
            if not self._budget.fits(key, amount):
                return False
            self._budget.take(key, amount)
            turn.set_result(None)
        queue.popleft()
        # The key goes to the end: others are served before its next turn.
        del self._waiting[key]
        if queue:
            self._waiting[key] = queue
        return True

    async def _wait(self, key: str, amount: _Amount, patience_s: float | None) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append((amount, turn))
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except (asyncio.CancelledError, TimeoutError):
            self._leave(key, amount, turn)
            raise

    def _leave(self, key: str, amount: _Amount, turn: asyncio.Future[None]) -> None:
        """Give back a turn that came too late, or the place in the line."""
        if turn.done() and not turn.cancelled():
            self._give(key, amount)
        elif (queue := self._waiting.get(key)) and (amount, turn) in queue:
            queue.remove((amount, turn))
            if not queue:
                del self._waiting[key]

    def _give(self, key: str, amount: _Amount) -> None:
        rest_s = self._budget.give(key, amount)
        if rest_s:
            asyncio.get_running_loop().call_later(rest_s, self.wake)
        self.wake()
