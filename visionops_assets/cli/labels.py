"""`visionops labels revoke`: labels of a key, taken back."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from visionops_assets.cli.screen import AsJson, print_json

app = typer.Typer(help="Labels of media and of predictions.", no_args_is_help=True)


@app.callback()
def _of_labels() -> None:
    """Take labels back."""


@app.command()
def revoke(
    by: Annotated[str, typer.Option("--by", help="Name of the key that gave them.")],
    since: Annotated[
        datetime | None, typer.Option(help="Only those given since then, in UTC.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take back the labels that a key gave. Earlier labels of others count again.

    Nothing is deleted: a row of its own takes each label back. Accuracy, the alarm, snapshots and
    decisions follow. To keep the key from giving more, revoke it: `visionops keys revoke`.
    """
    from visionops_assets.catalog import labels
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        of_media, of_predictions = labels.revoke(
            session, by, since.replace(tzinfo=UTC) if since else None
        )
    if as_json:
        print_json({"by": by, "media": of_media, "predictions": of_predictions})
        return
    typer.echo(f"Took back {of_media} labels of media and {of_predictions} of predictions.")
