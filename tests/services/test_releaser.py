"""The releaser's duties: side by side, whatever one of them meets, and each release told once."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from tests.declared import declaration
from visionops_assets.catalog.connection import Catalog
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.client.lineage import Lineage
from visionops_assets.errors import ReleaseError, ServerUnreachableError, VisionOpsError
from visionops_assets.releasing.controller import Controller
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.releaser import __main__ as releaser
from visionops_assets.services.releaser import telling, turns
from visionops_assets.services.releaser.telling import Teller
from visionops_assets.services.releaser.turns import Duty, run_all
from visionops_assets.settings import Settings, heartbeat_file

RELEASED_AT = datetime(2026, 1, 2, tzinfo=UTC)


def failing(error: Exception) -> Callable[[], str]:
    def act() -> str:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ReleaseError("Triton says no."), "rollback: left to the next turn: Triton says no."),
        (ServerUnreachableError("No catalog."), "rollback: left to the next turn: No catalog."),
        (ZeroDivisionError("A fault."), "rollback failed"),
    ],
)
def test_a_turn_that_fails_is_left_to_the_next(
    caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    duty = Duty("rollback", failing(error), 0)
    duty.turn()
    assert [record.getMessage() for record in caplog.records] == [said]


def test_it_is_said_once_until_there_is_something_else_to_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    says = iter(["All is well.", "All is well.", "Promoted 2.", "All is well."])
    duty = Duty("rollout", lambda: next(says), 0)
    for _ in range(4):
        duty.turn()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["rollout: All is well.", "rollout: Promoted 2.", "rollout: All is well."]


@contextmanager
def running(duties: list[Duty], settings: Settings) -> Iterator[Path]:
    """Run duties for the length of the block, and yield the file of the sign of life."""
    stop = Event()
    heartbeat = Heartbeat(settings, "releaser")
    thread = threading.Thread(target=run_all, args=(duties, heartbeat, stop))
    thread.start()
    try:
        yield heartbeat_file(settings, "releaser")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "BEAT_S", 0.001)
    monkeypatch.setattr(turns, "END_S", 0.1)


@pytest.mark.parametrize("may_hang", [True, False])
def test_a_duty_that_hangs_holds_up_no_other_and_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, may_hang: bool
) -> None:
    monkeypatch.setattr(turns, "LONGEST_TURN_S", -1.0)
    hanging, release, acted = Event(), Event(), Event()

    def hang() -> str:
        hanging.set()
        release.wait()
        return ""

    def act() -> str:
        acted.set()
        return ""

    stuck = Duty("convergence", hang, 0, may_hang=may_hang)
    try:
        with running([stuck], Settings(home=tmp_path)) as alive:
            assert hanging.wait(10)
            # The first beat may come before the duty hangs.
            alive.unlink(missing_ok=True)
            event = Event()
            event.wait(0.2)
            # One more beat may have been under way.
            alive.unlink(missing_ok=True)
            event.wait(0.2)
            assert alive.exists() is may_hang
        with running([Duty("lineage", hang, 0), Duty("rollback", act, 0)], Settings(home=tmp_path)):
            assert acted.wait(10)
    finally:
        release.set()


class Dagster:
    """A webserver that knows of some materializations of `model_release`."""

    def __init__(self, *told: int) -> None:
        self.told = [{"release_id": number} for number in told]
        self.asked = 0
        self.loses_an_answer = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path == "/graphql":
            self.asked += 1
            return httpx.Response(200, json={"data": {"assetOrError": self._asset()}})
        assert request.url.path == "/report_asset_materialization/m/model_release"
        self.told.append(body["metadata"])
        if self.loses_an_answer:
            self.loses_an_answer = False
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(200, json={})

    def _asset(self) -> dict[str, Any]:
        if not self.told:
            return {"__typename": "AssetNotFoundError"}
        runs = [{"metadataEntries": [{"label": "model_version", "intValue": 9}, {"label": "note"}]}]
        ours = [
            {"metadataEntries": [{"label": "release_id", "intValue": each["release_id"]}]}
            for each in self.told
        ]
        return {"__typename": "Asset", "assetMaterializations": [*ours, *runs]}

    @property
    def ids(self) -> list[int]:
        return [each["release_id"] for each in self.told]


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of releases that no run made; any number of them, oldest first."""
    ids: list[int] = []

    def without_run(_session: object, model_name: str, after_id: int) -> list[SimpleNamespace]:
        assert model_name == "m"
        return [
            SimpleNamespace(
                release_id=number, model_version=7, previous_version=6, released_at=RELEASED_AT
            )
            for number in ids
            if number > after_id
        ]

    event = SimpleNamespace(action="rolled_back", actor="arbiter", reason="It was bad.")
    monkeypatch.setattr(telling, "releases_without_run", without_run)
    monkeypatch.setattr(telling, "event_of", lambda *_: event)
    monkeypatch.setattr(telling, "try_lock_lineage", lambda *_: True)
    return ids


class _Catalog:
    @contextmanager
    def begin(self) -> Iterator[None]:
        yield


def teller(dagster: Dagster) -> Teller:
    client = DagsterClient("http://dagster:3000", httpx.MockTransport(dagster))
    return Teller(cast("Catalog", _Catalog()), Lineage(client), "m")


def test_releases_are_told_once_with_what_the_audit_says(releases: list[int]) -> None:
    dagster = Dagster()
    one, other = teller(dagster), teller(dagster)
    assert one.tell() == "Dagster knows of every release."
    assert dagster.asked == 0
    releases += [3, 4]
    assert one.tell() == "Dagster knows of every release, up to 4."
    assert dagster.told[0] == {
        "model_version": 7,
        "previous_version": 6,
        "released_at": "2026-01-02T00:00:00+00:00",
        "release_id": 3,
        "outcome": "rolled_back",
        "actor": "arbiter",
        "reason": "It was bad.",
    }
    # A second releaser, or one that was started again, and one that goes on.
    for each in (other, teller(dagster), one):
        each.tell()
    releases.append(5)
    one.tell()
    assert dagster.ids == [3, 4, 5]


def test_a_report_whose_answer_is_lost_is_not_sent_again(releases: list[int]) -> None:
    dagster = Dagster(2)
    dagster.loses_an_answer = True
    releases += [2, 3, 4]
    one = teller(dagster)
    with pytest.raises(ServerUnreachableError):
        one.tell()
    one.tell()
    assert dagster.ids == [2, 3, 4]


def test_one_that_was_not_told_is_told_though_later_ones_were(releases: list[int]) -> None:
    """The releases of another model have ids between these."""
    dagster = Dagster(3, 5)
    releases += [2, 3, 4]
    teller(dagster).tell()
    assert dagster.ids == [3, 5, 2, 4]


def test_one_releaser_tells_at_a_time(releases: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "try_lock_lineage", lambda *_: False)
    dagster = Dagster()
    releases.append(1)
    assert teller(dagster).tell() == "Another releaser tells Dagster."
    assert dagster.ids == []


def test_what_dagster_refuses_is_said(releases: list[int]) -> None:
    releases.append(1)
    refusing = httpx.MockTransport(
        lambda request: httpx.Response(
            200 if request.url.path == "/graphql" else 400,
            json={"data": {"assetOrError": {"__typename": "AssetNotFoundError"}}},
        )
    )
    lineage = Lineage(DagsterClient("http://dagster:3000", refusing))
    with pytest.raises(VisionOpsError, match="answered 400"):
        Teller(cast("Catalog", _Catalog()), lineage, "m").tell()


def test_each_declared_model_has_duties_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = declaration("first"), declaration("second")
    monkeypatch.setattr(releaser, "load_models", lambda: (first, second))
    acted: list[str] = []

    def converge(_controller: Controller, model_name: str) -> str:
        acted.append(model_name)
        return ""

    monkeypatch.setattr(releaser, "converge", converge)
    controller = cast("Controller", SimpleNamespace(catalog=_Catalog()))
    duties = {duty.name: duty for duty in releaser.duties_of(controller, cast("Lineage", None))}
    of_models = {
        f"{act} of {m}"
        for act in ("rollback", "rollout", "convergence", "lineage")
        for m in ("first", "second")
    }
    assert set(duties) == of_models
    may_hang = {name for name, duty in duties.items() if duty.may_hang}
    assert may_hang == {"lineage of first", "lineage of second"}
    duties["convergence of second"].turn()
    assert acted == ["second"]
