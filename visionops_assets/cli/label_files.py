"""`visionops labels import | export`: annotations from files of other tools, and to them."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from visionops_assets.cli.api_key import given_or_own_key
from visionops_assets.cli.screen import AsJson, Columns, console, print_fact, print_json, table
from visionops_assets.contracts import Scope
from visionops_assets.formats.registry import FORMATS, format_named
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.formats.lines import Line
    from visionops_assets.formats.records import BadRow
    from visionops_client import GatewayClient

FAILED = 2
REQUEST_LINES = 1_000
MAX_REQUEST_LINES = 20_000
"""The lines of one file stay in one request up to here, so that they are seen together."""
SHOW_EVERY_S = 5.0
MAX_SHOWN = 50
_COLUMNS: Columns = {"where": "where", "reason": "reason"}
_side_console = Console(stderr=True)

Model = Annotated[str, typer.Option("--model", help="Name of the model that they are for.")]
AFormat = Annotated[str, typer.Option("--format", help=f"Format: {', '.join(FORMATS)}.")]
Key = Annotated[
    str | None,
    typer.Option(help="API key. It is safer in VISIONOPS_API_KEY.", show_default=False),
]
Source = Annotated[
    str | None, typer.Option(help="Source of the media; else any.", show_default=False)
]


@dataclass
class Result:
    """The result of an import, by its rows."""

    lines: int = 0
    added: int = 0
    unchanged: int = 0
    refused: "list[BadRow]" = field(default_factory=list)


def import_labels(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, help="The file, or the folder.")
    ],
    model: Model,
    format_name: AFormat,
    source: Source = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of the pictures that the file names: they are found by their content.",
            show_default=False,
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="N",
            help="Frames per second of videos, where the file counts frames.",
            show_default=False,
        ),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="It may name classes the model does not have.")
    ] = False,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take the labels of stored media from a file of another tool.

    What cannot be used is listed with its place and the reason, and the rest is taken; the exit
    code is 2 then. The same file again changes nothing.
    """
    from visionops_assets.formats.lines import lines_of
    from visionops_assets.formats.records import Reading
    from visionops_assets.models import find_model
    from visionops_assets.tasks.registry import annotating

    declared = find_model(model)
    task = annotating(declared.task)
    reading = Reading(images, fps, lambda text: task.read(text).labels)
    rows = lines_of(format_named(format_name).read(file, reading), task)
    rows = _begun(rows)  # A file that is none is told before a key is made.
    result = Result()
    with _client(key, f"{declared.name} {format_name} {file.resolve()}") as client:
        options = {"source": source, "new_classes": new_classes}
        for batch in _batches(rows, result):
            _send(client, declared.name, batch, options, result)
    _tell(result, as_json)


def export_labels(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file, or the folder, to write.")
    ],
    model: Model,
    format_name: AFormat,
    source: Source = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Write the labels of stored media that count for a model to a file for another tool.

    What the format cannot hold is listed with the reason; the exit code is 2 then.
    """
    from visionops_assets.formats.lines import entry_of
    from visionops_assets.models import find_model
    from visionops_assets.tasks.registry import annotating

    declared = find_model(model)
    task = annotating(declared.task)
    count = 0

    def counted(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        nonlocal count
        for count, line in enumerate(lines, 1):  # noqa: B007 - it is told below
            yield line

    with _client(key, f"{declared.name} export") as client:
        lines = counted(client.annotations_of_files(declared.name, source=source))
        left_out = format_named(format_name).write(file, (entry_of(each, task) for each in lines))
    said = f"Wrote {count - len(left_out.rows):,} annotations to {file}."
    fact = {
        "file": str(file),
        "written": count - len(left_out.rows),
        "left_out": [asdict(row) for row in left_out.rows],
    }
    print_fact(fact, as_json, said)
    if left_out.rows:
        if not as_json:
            _show(left_out.rows, "left out")
        raise typer.Exit(FAILED)


def _begun(rows: "Iterator[Line | BadRow]") -> "Iterator[Line | BadRow]":
    first = next(rows, None)
    return iter(()) if first is None else chain([first], rows)


def _batches(rows: "Iterable[Line | BadRow]", result: Result) -> "Iterator[list[Line]]":
    """Yield the lines of requests, and show progress; bad rows are noted."""
    from visionops_assets.formats.lines import Line

    batch: list[Line] = []
    shown_s = time.monotonic()
    for row in rows:
        if not isinstance(row, Line):
            result.refused.append(row)
            continue
        is_enough = len(batch) >= REQUEST_LINES and batch[-1].subject != row.subject
        if is_enough or len(batch) >= MAX_REQUEST_LINES:
            yield batch
            batch = []
        batch.append(row)
        if time.monotonic() - shown_s > SHOW_EVERY_S:
            shown_s = time.monotonic()
            _side_console.print(
                f"{result.lines:,} rows, {result.added:,} added, {len(result.refused):,} refused",
                highlight=False,
            )
    if batch:
        yield batch


def _send(
    client: "GatewayClient",
    model: str,
    batch: "list[Line]",
    options: dict[str, Any],
    result: Result,
) -> None:
    from visionops_assets.formats.records import BadRow

    taken = client.annotate_files(model, [line.said for line in batch], **options)
    result.lines += taken.lines
    result.added += taken.added
    result.unchanged += taken.unchanged
    result.refused += [
        BadRow(batch[refused.line - 1].where, by_option(refused.detail, "--new-classes"))
        for refused in taken.refusals
    ]
    unlisted = taken.refused - len(taken.refusals)
    if unlisted:
        result.refused.append(BadRow(batch[-1].where, f"And {unlisted:,} others before it."))


def by_option(said: str, option: str) -> str:
    """Name the option of a command where a service names its parameter."""
    return said.replace("new_classes=true", option)


def _tell(result: Result, as_json: bool) -> None:
    if as_json:
        refused = [asdict(row) for row in result.refused]
        print_json({"added": result.added, "unchanged": result.unchanged, "refused": refused})
    else:
        typer.echo(f"Added {result.added:,} annotations; {result.unchanged:,} were there already.")
        if result.refused:
            _show(result.refused, "refused")
    raise typer.Exit(FAILED if result.refused else 0)


def _show(rows: "list[BadRow]", what: str) -> None:
    typer.echo(f"{len(rows):,} {what}:")
    console.print(table([asdict(row) for row in rows[:MAX_SHOWN]], _COLUMNS))
    if len(rows) > MAX_SHOWN:
        typer.echo(f"... and {len(rows) - MAX_SHOWN:,} more: see --json")


@contextmanager
def _client(key: str | None, about: str) -> "Iterator[GatewayClient]":
    from visionops_client import GatewayClient

    settings = load_settings()
    name = f"labels-{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    with (
        given_or_own_key(settings, key, name, Scope.LABEL) as api_key,
        GatewayClient(settings.gateway_url, api_key) as client,
    ):
        yield client
