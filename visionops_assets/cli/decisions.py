"""`visionops decisions ls`: what the retrain arbiter decided, and why."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.screen import console, printable
from visionops_assets.contracts import Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from visionops_assets.catalog.schema import Decision


app = typer.Typer(help="Decisions of the retrain arbiter.", no_args_is_help=True)


@app.command()
def ls(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only about this model.", show_default=False)
    ] = None,
    outcome: Annotated[
        Outcome | None, typer.Option(help="Only this outcome.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, with the evidence.")
    ] = False,
) -> None:
    """Show what was decided about the served model, newest first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.decisions import newest_decisions

    with Catalog().begin() as session:
        rows = newest_decisions(session, limit=limit, model_name=model, outcome=outcome)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_public(row), default=datetime.isoformat))
    elif not rows:
        console.print("Nothing like that was decided yet.")
    else:
        console.print(_table(rows))


def _public(row: "Decision") -> dict[str, object]:
    return {
        "decision_id": row.decision_id,
        "decided_at": row.decided_at,
        "model_name": row.model_name,
        "model_version": row.model_version,
        "release_id": row.release_id,
        "outcome": row.outcome,
        "reason": row.reason,
        "evidence": row.evidence,
        "dagster_run_id": row.dagster_run_id,
    }


def _table(rows: "Sequence[Decision]") -> "Table":
    from rich.table import Table

    table = Table("time", "model", "version", "outcome", "why")
    for row in rows:
        table.add_row(
            f"{row.decided_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            printable(row.model_name),
            str(row.model_version),
            row.outcome,
            printable(row.reason),
        )
    return table
