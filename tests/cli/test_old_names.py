import pytest
from typer.testing import CliRunner

from tests.cli.commands import ROOT
from visionops_assets.cli import app
from visionops_assets.cli.old_names import OLD_NAMES, old_and_new_name


@pytest.mark.parametrize(("old", "new"), [*OLD_NAMES.items(), ("decisions --limit 5", "decisions")])
def test_an_old_name_works_and_says_the_new_one(old: str, new: str) -> None:
    result = CliRunner().invoke(app, [*old.split(), "--help"])
    assert result.exit_code == 0
    assert f" {new} " in result.stdout
    assert f"`visionops {new}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("new", OLD_NAMES.values())
def test_a_new_name_is_taken_as_it_is(new: str) -> None:
    result = CliRunner().invoke(app, [*new.split(), "--help"])
    assert result.exit_code == 0
    assert result.stderr == ""


def test_the_rest_of_a_command_stays() -> None:
    done = CliRunner().invoke(app, ["release", "promote", "3", "--reason", " "])
    assert done.exit_code == 2
    assert "Say why" in done.stderr


@pytest.mark.parametrize(
    ("words", "renamed"),
    [
        (["decisions"], ("decisions", "decisions ls")),
        (["decisions", "--limit", "5"], ("decisions", "decisions ls")),
        (["decisions", "ls", "--limit", "5"], None),
        (["decisions", "--help"], None),
        (["camera", "list", "--json"], ("camera list", "cameras ls")),
        (["keys", "ls"], None),
        (["predict", "release"], None),
        (["--version"], None),
        ([], None),
    ],
)
def test_only_the_front_of_a_command_is_looked_at(
    words: list[str], renamed: tuple[str, str] | None
) -> None:
    assert old_and_new_name(words) == renamed


def test_old_names_are_not_shown() -> None:
    assert "releases" in ROOT.commands
    assert not ROOT.commands.keys() & {name.split()[0] for name in OLD_NAMES} - {
        "keys",
        "quarantine",
    }
