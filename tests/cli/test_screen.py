import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from visionops_assets.cli import screen
from visionops_assets.cli.screen import cell, print_json, print_rows, printable


@given(st.text())
def test_foreign_text_is_shown_without_markup_or_control(text: str) -> None:
    screen = io.StringIO()
    Console(file=screen, width=10_000, color_system="truecolor").print(
        printable(text), end="", soft_wrap=True, highlight=False, emoji=False
    )
    assert all(c.isprintable() for c in screen.getvalue())


def test_plain_text_stays_as_it_is_and_the_rest_is_visible() -> None:
    assert printable("gate 7, Größe") == "gate 7, Größe"
    assert printable("\x1b[2J\n") == "\\x1b[2J\\n"
    assert printable("[red]x") == "\\[red]x"


NOON = datetime(2026, 11, 29, 13, 0, 5, 250_000, timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (["a", None], "a, -"),
        (True, "yes"),
        (0, "0"),
        (2 / 3, "0.6667"),
        (NOON, "2026-11-29 12:00:05 UTC"),
        ("[red]\x1b", "\\[red]\\x1b"),
    ],
)
def test_a_cell_is_never_empty(value: object, shown: str) -> None:
    assert cell(value) == shown


FACT = {
    "id": UUID(int=7),
    "file": Path("a/b"),
    "at": NOON.astimezone(UTC),
    "text": "\x1b\x9b\udcff",
    "score": float("nan"),
    "missing": None,
}


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(FACT)
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line) == {
        "id": str(UUID(int=7)),
        "file": "a/b",
        "at": "2026-11-29T12:00:05.250000Z",
        "text": "\x1b\x9b\udcff",
        "score": None,
        "missing": None,
    }


def test_rows_are_lines_for_programs_and_a_table_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: screen.Columns = {"name": "name", "twice": lambda row: row["count"] * 2}
    rows: list[screen.Fact] = [{"name": "a", "count": 1}, {"name": None, "count": 2}]
    print_rows(rows, columns, as_json=True, nothing="Nothing.")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    print_rows([], columns, as_json=True, nothing="Nothing.")
    assert capsys.readouterr().out == ""
    print_rows([], columns, as_json=False, nothing="Nothing.")
    assert capsys.readouterr().out == "Nothing.\n"
    text = io.StringIO()
    monkeypatch.setattr(screen, "console", Console(file=text, width=80))
    print_rows(rows, columns, as_json=False, nothing="Nothing.")
    assert [line.split()[1::2] for line in text.getvalue().splitlines() if line[0] == "│"] == [
        ["a", "2"],
        ["-", "4"],
    ]
