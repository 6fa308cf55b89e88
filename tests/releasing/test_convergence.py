"""What each turn of `converge` does beside a rollout, after its end, and before a release."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import Role
from visionops_assets.releasing import convergence
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.replica import Version


class World:
    """What the catalog says, and servers that note what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_locked = True
        self.champion: Release | None = Release(model_name="m", model_version=3, previous_version=2)
        self.rollout: Any = None
        self.ended_s_ago: float | None = None
        self.asked: list[tuple[Any, ...]] = []
        for name, value in {
            "try_lock_releases": lambda *_: self.is_locked,
            "champion": lambda *_: self.champion,
            "active_rollout": lambda *_: self.rollout,
            "seconds_since_last_end": lambda *_: self.ended_s_ago,
            "follow_engines": lambda *_: [],
        }.items():
            monkeypatch.setattr(convergence, name, value)

    def _note(self, *asked: Any) -> list[str]:
        self.asked.append(asked)
        return []

    def converge(self) -> str:
        replicas = SimpleNamespace(
            converge=lambda served: self._note("champion", served.number),
            converge_candidate=lambda tried, role: self._note("candidate", tried.number, role),
            unload_candidate=lambda: self._note("unload"),
            forget_steps=lambda kept: self._note("forget all but", kept),
            forget_rehearsals=lambda: self._note("forget rehearsals"),
        )
        publisher = SimpleNamespace(released=lambda of: Version(of.model_version, dict))
        controller = SimpleNamespace(
            catalog=SimpleNamespace(begin=nullcontext),
            replicas=lambda _: replicas,
            publisher=lambda _: publisher,
        )
        return convergence.converge(cast("Controller", controller), "m")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


CHAMPION, FORGET = ("champion", 3), ("forget all but", {2, 3})


@pytest.mark.parametrize(
    ("ended_s_ago", "asked"),
    [
        (None, [CHAMPION, ("unload",), FORGET]),
        # Gateways may not have noticed yet that it ended.
        (0.0, [CHAMPION]),
        (15.0, [CHAMPION]),
        (15.1, [CHAMPION, ("unload",), FORGET]),
    ],
)
def test_a_candidate_is_unloaded_15_s_after_its_end(
    world: World, ended_s_ago: float | None, asked: list[tuple[Any, ...]]
) -> None:
    world.ended_s_ago = ended_s_ago
    assert world.converge() == "Version 3 is served, as it should be."
    assert world.asked == asked


def test_the_steps_of_a_first_champion_are_kept(world: World) -> None:
    world.champion = Release(model_name="m", model_version=1, previous_version=None)
    world.converge()
    assert world.asked[-1] == ("forget all but", {1})


def test_a_rollout_under_way_is_kept_whenever_the_one_before_ended(world: World) -> None:
    world.rollout = SimpleNamespace(model_version=4, role=Role.CANARY)
    world.ended_s_ago = 1_000.0
    world.converge()
    assert world.asked == [CHAMPION, ("candidate", 4, Role.CANARY)]


def test_before_the_first_release_only_rehearsals_are_forgotten(world: World) -> None:
    world.champion = None
    assert "was released yet" in world.converge()
    assert world.asked == [("forget rehearsals",)]


def test_nothing_is_touched_while_a_release_is_under_way(world: World) -> None:
    world.is_locked = False
    assert world.converge() == "A release is under way."
    assert world.asked == []


def test_what_happens_to_engines_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["The engine of H100 serves."]
    monkeypatch.setattr(convergence, "follow_engines", lambda *_: told)
    world.ended_s_ago = 0.0
    assert world.converge() == "The engine of H100 serves."
