import json

import pytest
from typer.testing import CliRunner, Result

from tests.catalog.standings import standing, version
from visionops_assets.catalog.next_steps import ModelStanding, Part, next_step, why_nothing_serves
from visionops_assets.cli import app, models
from visionops_assets.contracts import GateState

CHAMPION = version(1, part=Part.CHAMPION)
REFUSED = version(2, GateState.REFUSED, champion=1)
BOTH = standing(REFUSED, CHAMPION, champion=1)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[ModelStanding]:
    """What the catalog says; the last one counts."""
    found = [BOTH]
    monkeypatch.setattr(models, "standing_of", lambda _name: found[-1])
    return found


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


@pytest.mark.usefixtures("known")
def test_versions_are_listed_newest_first_with_what_to_do() -> None:
    rows = [json.loads(line) for line in run("versions", "--json").stdout.splitlines()]
    assert [(row["version"], row["verdict"], row["part"]) for row in rows] == [
        (2, "refused", "never released"),
        (1, "passed", "champion"),
    ]
    assert [row["next_step"] for row in rows] == [next_step(v, BOTH) for v in BOTH.versions]
    shown = run("versions").stdout
    assert "refused" in shown
    assert "None" not in shown


@pytest.mark.usefixtures("known")
def test_the_newest_version_is_shown_unless_another_is_named() -> None:
    newest = json.loads(run("show", "--json").stdout)
    assert (newest["version"], newest["compared_with_champion"]) == (2, 1)
    assert newest["classes"] == ["cat", "dog"]
    assert (newest["train_frames"], newest["holdout_frames"]) == (480, 120)
    first = run("show", "--version", "1").stdout
    assert "0.9000 (0.8300..0.9400), with 95 % confidence" in first
    assert "Nothing: it serves." in first
    assert "compared_with_champion" not in first


@pytest.mark.usefixtures("known")
def test_an_unknown_version_is_refused_with_those_there_are() -> None:
    result = run("show", "--version", "7")
    assert str(result.exception).endswith("Judged versions: 2, 1.")


def test_before_the_first_version_it_is_said_what_is_awaited(known: list[ModelStanding]) -> None:
    nothing = standing(labelled=40)
    known.append(nothing)
    assert run("versions").stdout.strip() == why_nothing_serves(nothing)
    assert run("versions", "--json").stdout == ""
    shown = json.loads(run("show", "--json").stdout)
    assert shown == {"model": "classifier", "next_step": why_nothing_serves(nothing)}


def test_a_dataset_that_waits_for_its_model_is_told_beside_the_versions(
    known: list[ModelStanding],
) -> None:
    known.append(standing(REFUSED, CHAMPION, champion=1, waiting="ds-9"))
    assert "ds-9" in run("versions").stdout


@pytest.mark.parametrize("number", ["0", "x"])
def test_a_version_is_a_number_from_1_on(number: str) -> None:
    result = run("show", "--version", number)
    assert result.exit_code == 2
    assert "--version" in result.stderr
