import pytest
from typer.testing import CliRunner

from visionops_assets.cli import app

WHY = ["--reason", "a test"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["promote", "3"], "--reason"),
        (["promote", "3", "--reason", "  "], "Say why"),
        (["promote", "0", *WHY], "VERSION"),
        (["promote", *WHY], "VERSION"),
        (["rollback"], "--reason"),
        (["rollback", "--to", "0", *WHY], "--to"),
        (["canary", "3", *WHY], "--share"),
        (["canary", "3", "--share", "0", *WHY], "--share"),
        (["canary", "3", "--share", "101", *WHY], "--share"),
        (["shadow", "3", "--share", "10"], "--reason"),
        (["stop"], "--reason"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["releases", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
