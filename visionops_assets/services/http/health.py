"""`/healthz` and `/readyz`: does this process answer, and do the servers that it needs?

A check is a function without arguments, plain or async, that raises when its server does not
answer. Plain ones run in a thread.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel
from sqlalchemy import select

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.services.http.api_pages import OPERATION
from visionops_assets.services.http.problems import problem, problems

TIMEOUT_S = 2.0
KEPT_S = 1.0
"""An answer is repeated for this time: probes must not load the servers behind."""

Check = Callable[[], object]

_log = logging.getLogger(__name__)


class Health(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """This process, and all it needs, answers."""

    status: Literal["ready"] = "ready"


def install_health(app: FastAPI, checks: Mapping[str, Check]) -> "Readiness":
    """Add `/healthz` and `/readyz` to `app`, and return what the second one asks.

    `checks` have the names of the checked servers.
    """
    readiness = Readiness(checks)

    @app.get("/healthz", tags=[OPERATION], summary="Is the process alive?")
    async def healthz() -> Health:
        """Answer at once; no other server is asked."""
        return Health()

    @app.get(
        "/readyz",
        tags=[OPERATION],
        summary="Is all that it needs there?",
        response_model=Ready,
        responses=problems(HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def readyz() -> Ready | Response:
        """Ask the servers behind this one, at most once per second."""
        failing = await readiness.failing()
        if not failing:
            return Ready()
        # Not raised: otherwise each probe would log an error. The log says once what is missing.
        detail = f"Not ready: no answer from {', '.join(failing)}."
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, ServerUnreachableError.code, detail)

    return readiness


def catalog_check(catalog: Catalog) -> Check:
    """Return a check that PostgreSQL answers."""

    def check() -> None:
        with catalog.begin() as session:
            session.execute(select(1))

    return check


def lasting(
    check: Callable[[], object], kept_s: float
) -> Callable[[], Coroutine[None, None, None]]:
    """Return a check that still passes for a time after `check` last passed."""
    passed_at_s: float | None = None

    async def check_or_recall() -> None:
        nonlocal passed_at_s
        try:
            await asyncio.wait_for(asyncio.to_thread(check), TIMEOUT_S / 2)
            passed_at_s = time.monotonic()
        except (VisionOpsError, TimeoutError):
            if passed_at_s is None or time.monotonic() > passed_at_s + kept_s:
                raise

    return check_or_recall


class Readiness:
    """The answer to "is all there?", found at most once in `KEPT_S`, within `TIMEOUT_S`."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._failing: tuple[str, ...] = ()
        self._found_at_s = -KEPT_S
        self._one_at_a_time = asyncio.Lock()

    async def failing(self) -> tuple[str, ...]:
        """Name the servers that do not answer."""
        async with self._one_at_a_time:
            if time.monotonic() - self._found_at_s >= KEPT_S:
                self._failing = await self._look()
                self._found_at_s = time.monotonic()
            return self._failing

    async def _look(self) -> tuple[str, ...]:
        answered = await asyncio.gather(
            *(self._answers(name, check) for name, check in self._checks.items())
        )
        return tuple(name for name, ok in zip(self._checks, answered, strict=True) if not ok)

    async def _answers(self, name: str, check: Check) -> bool:
        called = check() if inspect.iscoroutinefunction(check) else asyncio.to_thread(check)
        try:
            await asyncio.wait_for(called, TIMEOUT_S)
        except Exception as error:  # Any error of a check means that its server is not there.
            if name not in self._failing:
                _log.warning("%s does not answer: %r", name, error)
            return False
        return True
