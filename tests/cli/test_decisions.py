import pytest
from typer.testing import CliRunner

from visionops_assets.cli import app


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--outcome", "panic"], "roll_back"),
        (["--limit", "0"], "--limit"),
        (["now"], "now"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["decisions", "ls", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
