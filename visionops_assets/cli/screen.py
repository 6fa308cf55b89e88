"""The terminal that commands print to, and the one way they print facts.

A command takes `as_json: AsJson` and hands its facts to `print_rows`, `print_fields`, `print_fact`.
Programs get JSON lines; people get a table, fields or a sentence.
"""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from visionops_assets import foreign_text

# A table that is piped somewhere keeps its columns.
console = Console(width=None if sys.stdout.isatty() else 200)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines and nothing else.")]
Fact = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Fact], object]]
"""Headings of a table, each with the name of a fact's field, or with a function for its cell."""

ABSENT = "-"


def printable(value: object) -> str:
    """Show foreign text as it is: its markup has no effect, its control characters are escaped."""
    return escape(foreign_text.printable(str(value)))


def cell(value: object) -> str:
    """Write a value for people: `-` for nothing, times in UTC, floats with 4 digits."""
    match value:
        case None | "":
            return ABSENT
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value)
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return ", ".join(map(cell, value)) or ABSENT
        case _:
            return printable(value)


def moment(time: datetime) -> str:
    """Write a time to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def print_json(fact: object) -> None:
    """Print a fact (a mapping, dataclass or record) as one line of JSON in ASCII."""
    typer.echo(json.dumps(to_jsonable_python(fact, inf_nan_mode="null")))


def print_rows(facts: Sequence[Fact], columns: Columns, as_json: bool, nothing: str) -> None:
    """Print facts of one kind: a line each, or a table, or the sentence `nothing` without any."""
    if as_json:
        for fact in facts:
            print_json(fact)
    elif facts:
        console.print(table(facts, columns))
    else:
        typer.echo(nothing)


def columns_of(row: Any, unshown: Collection[str]) -> dict[str, Any]:
    """Return the values of a row of the catalog by their columns, without some of these."""
    names = [column.name for column in row.__table__.columns if column.name not in unshown]
    return {name: getattr(row, name) for name in names}


def print_fields(fact: Fact, as_json: bool) -> None:
    """Print everything known about one thing: one line, or a line per field."""
    if as_json:
        print_json(fact)
        return
    width = max(map(len, fact))
    for name, value in fact.items():
        console.print(f"{name:{width}}  {cell(value)}", soft_wrap=True, highlight=False)


def print_fact(fact: object, as_json: bool, *sentences: str) -> None:
    """Print the result of a command: one line of JSON, or sentences."""
    if as_json:
        print_json(fact)
        return
    for sentence in sentences:
        typer.echo(foreign_text.printable(sentence))


def table(facts: Sequence[Fact], columns: Columns) -> Table:
    """Lay out facts as a table, one row per fact."""
    shown = Table(*columns)
    for fact in facts:
        values = (
            fact[field] if isinstance(field, str) else field(fact) for field in columns.values()
        )
        shown.add_row(*map(cell, values))
    return shown
