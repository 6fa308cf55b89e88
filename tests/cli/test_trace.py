"""`visionops trace`: a tree for people, JSON or OpenLineage for programs."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.cli import catalogs
from tests.lineage.traces import FRAME, PREDICTION, branch, node, traced
from visionops_assets.cli import app
from visionops_assets.lineage import tracing
from visionops_assets.lineage.records import Direction, Kind


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of a catalog that has one trace, and one list."""
    catalogs.install(monkeypatch)
    asked: list[Any] = []

    def give(_: object, *wanted: Any) -> Any:
        asked.append(wanted)
        if len(wanted) == len(("kind", "id", "wanted")):
            return traced()
        return branch("predictions", node("prediction", PREDICTION, 1), count=12_345)

    monkeypatch.setattr(tracing, "trace", give)
    monkeypatch.setattr(tracing, "trace_list", give)
    return asked


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["trace", *words])


def test_a_tree_shows_the_way_and_what_is_cut(asked: list[Any]) -> None:
    shown = run("prediction", PREDICTION)
    assert shown.exit_code == 0
    ids = [PREDICTION, "classifier:3", "ds-1", FRAME, "gate-1"]
    places = [shown.stdout.index(each) for each in ids]
    assert places == sorted(places)
    assert "and 1,233 more: --list frames" in shown.stdout
    assert "http://dagster/model" in shown.stdout
    assert "[b]car[/b]" in shown.stdout
    assert "Look again." in shown.stderr
    assert asked[0][2].directions == tuple(Direction)


@pytest.mark.parametrize(
    ("words", "directions"),
    [(["--up"], ["up"]), (["--down"], ["down"]), (["--up", "--down"], ["up", "down"])],
)
def test_a_direction_is_asked_for(
    asked: list[Any], words: list[str], directions: list[str]
) -> None:
    assert run("model", "classifier", "--limit", "7", *words).exit_code == 0
    ((kind, name, wanted),) = asked
    assert (kind, name, wanted.limit) == (Kind.MODEL, "classifier", 7)
    assert list(wanted.directions) == directions


def test_programs_get_json(asked: list[Any]) -> None:
    (line,) = run("prediction", PREDICTION, "--json").stdout.splitlines()
    assert json.loads(line)["up"]["branches"][0]["nodes"][0]["id"] == "classifier:3"
    lines = run("prediction", PREDICTION, "--openlineage").stdout.splitlines()
    assert {json.loads(line)["eventType"] for line in lines} == {"START", "COMPLETE"}


def test_a_list_is_paged(asked: list[Any]) -> None:
    shown = run("model", "classifier:3", "--list", "predictions", "--cursor", "before")
    assert asked == [(Kind.MODEL, "classifier:3", "predictions", 10, "before")]
    assert "and 12,344 more" in shown.stdout
    assert "trace model classifier:3 --list predictions --cursor next" in shown.stdout
    one = json.loads(run("model", "classifier:3", "--list", "predictions", "--json").stdout)
    assert (one["count"], one["cursor"]) == (12_345, "next")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["planet", "earth"], "planet"),
        (["media"], "ID"),
        (["model", "a", "--limit", "0"], "--limit"),
        (["model", "a", "--cursor", "x"], "--list"),
        (["model", "a", "--list", "x", "--openlineage"], "--openlineage"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code != 0
    assert message in result.stderr + str(result.exception)
