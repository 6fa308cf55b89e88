import asyncio
import threading
import time

import pytest
from fastapi import FastAPI

from tests.services.asgi_client import AsgiClient
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.http import health
from visionops_assets.services.http.health import Check, Readiness, install_health, lasting
from visionops_assets.services.http.problems import install_problem_handlers


def service_of(**checks: Check) -> AsgiClient:
    app = FastAPI()
    install_problem_handlers(app)
    install_health(app, checks)
    return AsgiClient(app)


def answers() -> None:
    pass


async def answers_too() -> None:
    pass


def fails() -> None:
    raise ServerUnreachableError("It is down.")


async def fails_too() -> None:
    raise OSError("It is down.")


def test_it_is_ready_when_all_it_needs_answers() -> None:
    answer = service_of(catalog=answers, store=answers_too).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_what_does_not_answer_is_named() -> None:
    service = service_of(catalog=fails, store=answers, Triton=fails_too)
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    assert answer.json()["detail"] == "Not ready: no answer from catalog, Triton."
    assert service.get("/healthz").json() == {"status": "ok"}


def test_an_answer_is_kept_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            fails()

    service = service_of(catalog=check)
    assert [service.get("/readyz").status_code for _ in range(3)] == [503] * 3
    assert calls == 1
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + health.KEPT_S)
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.05)
    released = threading.Event()

    def hangs() -> None:
        released.wait(5)

    async def hangs_too() -> None:
        await asyncio.sleep(5)

    async def look() -> tuple[str, ...]:
        failing = await Readiness({"store": hangs_too if is_async else hangs}).failing()
        released.set()
        return failing

    started_s = time.monotonic()
    assert asyncio.run(look()) == ("store",)
    assert time.monotonic() - started_s < 2


def test_probes_at_once_share_one_look() -> None:
    calls = 0

    async def check() -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)

    async def probe() -> None:
        readiness = Readiness({"catalog": check})
        await asyncio.gather(*(readiness.failing() for _ in range(10)))

    asyncio.run(probe())
    assert calls == 1


def in_turn(*outcomes: Check) -> Check:
    left = list(outcomes)

    def check() -> object:
        return left.pop(0)()

    return check


def test_a_lasting_check_passes_for_so_long_after_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock_s)
    check = lasting(in_turn(fails, answers, fails, fails), 10.0)
    with pytest.raises(ServerUnreachableError):
        asyncio.run(check())
    asyncio.run(check())
    clock_s = 10.0
    asyncio.run(check())
    clock_s = 10.1
    with pytest.raises(ServerUnreachableError):
        asyncio.run(check())


def test_a_lasting_check_that_hangs_passes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.1)
    released = threading.Event()
    check = in_turn(answers, lambda: released.wait(5))
    readiness = Readiness({"catalog": lasting(check, 10.0)})
    monkeypatch.setattr(health, "KEPT_S", 0.0)

    async def look_twice() -> list[tuple[str, ...]]:
        found = [await readiness.failing(), await readiness.failing()]
        released.set()
        return found

    assert asyncio.run(look_twice()) == [(), ()]
