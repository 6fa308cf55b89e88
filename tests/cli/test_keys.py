import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.catalog import keys
from visionops_assets.catalog.schema import ApiKey
from visionops_assets.cli import app
from visionops_assets.cli.keys import duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", timedelta(0)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("99999d", timedelta(days=99_999)),
    ],
)
def test_a_time_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@given(st.text())
def test_any_other_text_is_a_bad_parameter(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90d"):
        duration(f"{text}?")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "x", "--expires", "soon"], "Write it like"),
        (["add", "x", "--scope", "everything"], "--scope"),
        (["add"], "Missing argument"),
        (["revoke"], "Missing argument"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["keys", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], ["valid", "expires later"]),
        (["--all"], ["valid", "expires later", "expired", "revoked"]),
    ],
)
def test_keys_that_are_good_for_nothing_are_hidden_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, options: list[str], shown: list[str]
) -> None:
    catalogs.install(monkeypatch)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    rows = [
        ApiKey(prefix="p", name=name, scopes=[], created_at=now, expires_at=end, revoked_at=revoked)
        for name, end, revoked in (
            ("valid", None, None),
            ("expires later", now + hour, None),
            ("expired", now - hour, None),
            ("revoked", None, now - hour),
        )
    ]
    monkeypatch.setattr(keys, "list_all", lambda _session: rows)
    lines = CliRunner().invoke(app, ["keys", "ls", "--json", *options]).stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == shown
