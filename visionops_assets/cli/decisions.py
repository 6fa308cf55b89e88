"""`visionops decisions ls`: what the retrain arbiter decided, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from visionops_assets.cli.screen import AsJson, print_rows
from visionops_assets.contracts import Outcome

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import Decision


_COLUMNS = {
    "time": "decided_at",
    "model": "model_name",
    "version": "model_version",
    "decision": "outcome",
    "why": "reason",
}

app = typer.Typer(help="Decisions of the retrain arbiter, with reasons.", no_args_is_help=True)


@app.command()
def ls(
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only decisions about this model.", show_default=False),
    ] = None,
    outcome: Annotated[
        Outcome | None, typer.Option(help="Only decisions of this kind.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of decisions.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the decisions about the served model, newest first. JSON has the evidence, too."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.decisions import newest_decisions

    with Catalog().begin() as session:
        rows = newest_decisions(session, limit=limit, model_name=model, outcome=outcome)
    nothing = "There is no such decision yet."
    print_rows([_public(row) for row in rows], _COLUMNS, as_json, nothing)


def _public(row: "Decision") -> dict[str, Any]:
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
