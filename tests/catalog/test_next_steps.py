"""What people are told to do about a model."""

import re
from dataclasses import replace
from itertools import product

import pytest
import typer

from tests.catalog.standings import standing, version
from visionops_assets.catalog.next_steps import (
    ModelStanding,
    Part,
    VersionStanding,
    in_one_sentence,
    is_on_its_way,
    next_step,
    what_is_awaited,
    what_is_left_out,
    why_nothing_serves,
)
from visionops_assets.cli import app
from visionops_assets.contracts import GateState

UNDECIDED = version(1, GateState.UNDECIDED, groups_needed=7)


def newest_step(found: ModelStanding) -> str:
    return next_step(found.versions[0], found)


@pytest.mark.parametrize("part", [Part.CHAMPION, Part.RELEASED_BEFORE, Part.CANARY, Part.SHADOW])
@pytest.mark.parametrize("state", GateState)
def test_a_version_that_serves_or_did_needs_no_verdict(part: Part, state: GateState) -> None:
    said = newest_step(standing(version(3, state, part), champion=3))
    assert said.startswith(("Nothing", "Wait"))
    assert ("rollback --to 3" in said) == (part is Part.RELEASED_BEFORE)


def test_a_refused_version_wants_data_or_another_training() -> None:
    first = newest_step(standing(version(1, GateState.REFUSED)))
    assert "`visionops import" in first
    # 900 and 100 per class, twice.
    assert "`visionops train --steps 2200` (by default 1100)" in first
    assert "serves on" not in first
    later = newest_step(standing(version(2, GateState.REFUSED, champion=1), champion=1))
    assert later.startswith("Version 1 serves on.")


def test_an_undecided_version_wants_as_many_groups_as_the_verdict_says() -> None:
    """7 more groups of a holdout that gets 20 % of them are 35."""
    said = newest_step(standing(UNDECIDED))
    assert "about 35 more groups" in said
    assert "About 7 of them go into the holdout" in said
    unknown = newest_step(standing(version(1, GateState.UNDECIDED)))
    assert "train longer" in unknown
    later = version(2, GateState.UNDECIDED, champion=1)
    said = newest_step(standing(later, version(1, part=Part.CHAMPION), champion=1))
    assert said.startswith("Version 1 serves on. The two are about equally good.")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (standing(), True),
        (standing(version(1)), True),
        (standing(version(1, GateState.REFUSED)), False),
        (standing(UNDECIDED), False),
        (standing(version(1, GateState.REFUSED), waiting="ds-2"), True),
        (standing(version(2, GateState.REFUSED, champion=1), champion=1), True),
    ],
)
def test_who_waits_is_told_when_only_a_person_can_go_on(
    found: ModelStanding, expected: bool
) -> None:
    assert is_on_its_way(found) is expected


def test_classes_that_were_left_out_are_named_with_what_they_need() -> None:
    assert what_is_left_out(standing(version(1))) is None
    lacking = replace(standing(version(1)), left_out={"spoon": 6, "fork": 2})
    said = what_is_left_out(lacking)
    assert said == "fork (2), spoon (6): each class needs about 25 labelled frames."


def test_a_version_that_passed_is_promoted_if_its_comparison_still_holds() -> None:
    assert "`visionops releases promote 2 --reason" in newest_step(standing(version(2)))
    beside = standing(version(2, champion=1), version(1, part=Part.CHAMPION), champion=1)
    assert "releases promote 2" in newest_step(beside)
    outdated = newest_step(standing(version(2, champion=None), champion=1))
    assert "releases promote" not in outdated
    assert "compared it with no champion, and version 1 serves now" in outdated


@pytest.mark.parametrize("state", GateState)
def test_of_older_versions_nothing_is_asked(state: GateState) -> None:
    found = standing(version(3, GateState.REFUSED), version(2, state))
    assert next_step(found.versions[1], found) == "Nothing: version 3 came after it."


def test_one_that_lost_its_rollout_is_not_promoted() -> None:
    found = standing(version(2, part=Part.TRIED_BEFORE, champion=1), champion=1)
    assert "promote" not in newest_step(found)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (standing(), "no newly labelled frames"),
        (standing(labelled=1), "There is 1 newly labelled frame."),
        (standing(labelled=120), "There are 120 newly labelled frames."),
        (standing(labelled=120, waiting="ds-7"), "snapshot ds-7"),
    ],
)
def test_before_the_first_version_it_is_said_what_is_awaited(
    found: ModelStanding, said: str
) -> None:
    assert said in what_is_awaited(found)
    assert why_nothing_serves(found).startswith("No model classifier serves, for none was trained")
    assert what_is_awaited(found) in why_nothing_serves(found)
    assert in_one_sentence(found) == why_nothing_serves(found)


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        (version(2), "passed the gate and is not released"),
        (version(2, GateState.REFUSED), "was refused by the gate"),
        (version(2, GateState.UNDECIDED), "too small a holdout"),
    ],
)
def test_nothing_serves_because_of_the_newest_version(newest: VersionStanding, said: str) -> None:
    found = standing(newest, version(1, GateState.REFUSED))
    assert said in why_nothing_serves(found)
    assert newest_step(found) in why_nothing_serves(found)


def test_a_champion_that_does_not_answer_is_being_loaded() -> None:
    found = standing(version(2, GateState.REFUSED, champion=1), champion=1)
    assert why_nothing_serves(found) == ("Version 1 of classifier is being loaded. Try again soon.")


def test_a_champion_serves_whatever_the_gate_said_of_newer_versions() -> None:
    champion = version(1, part=Part.CHAMPION)
    assert in_one_sentence(standing(champion, champion=1)) == "Version 1 of classifier serves."
    tried = version(2, part=Part.CANARY, champion=1)
    assert in_one_sentence(standing(tried, champion, champion=1)).endswith("serves.")
    refused = in_one_sentence(standing(version(2, GateState.REFUSED), champion, champion=1))
    assert refused.startswith("Version 1 of classifier serves. The newest version, 2, was refused")


def test_all_commands_that_are_named_exist() -> None:
    commands = typer.main.get_group(app).commands
    standings = [
        standing(version(2, state, part, groups_needed=3), champion=champion, labelled=labelled)
        for state, part, champion, labelled in product(GateState, Part, (None, 1), (0, 9))
    ]
    texts = {newest_step(found) for found in standings} | {why_nothing_serves(standing())}
    texts |= {in_one_sentence(found) for found in standings}
    named = set(re.findall(r"`visionops ([a-z-]+) ([a-z-]*)", " ".join(texts)))
    assert {name for name, _ in named} >= {"import", "train", "releases"}
    for name, sub in named:
        assert name in commands, name
        subs = getattr(commands[name], "commands", None)
        assert subs is None or sub in subs, (name, sub)
