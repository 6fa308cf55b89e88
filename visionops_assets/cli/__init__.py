"""`visionops ...`: the commands. Each says what it does and leaves the doing to its room."""

import sys

import typer

from visionops_assets.cli import (
    backups,
    cameras,
    capacity,
    dead_letters,
    decisions,
    imports,
    keys,
    labelling_batches,
    model,
    old_names,
    quarantine,
    releases,
    servers,
    sweep,
)
from visionops_assets.errors import VisionOpsError

app = typer.Typer(
    cls=old_names.Commands,
    help="Media in, a served model out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    servers.up,
    servers.down,
    servers.status,
    servers.logs,
    sweep.sweep,
    capacity.capacity,
    model.predict,
    model.demo,
):
    app.command()(command)
app.command("import")(imports.import_media)
app.add_typer(keys.app, name="keys")
app.add_typer(cameras.app, name="cameras")
app.add_typer(releases.app, name="releases")
app.add_typer(decisions.app, name="decisions")
app.add_typer(labelling_batches.app, name="labelling-batches")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(backups.app, name="backups")


def main() -> None:
    """Run the command line. What a user may see is a message, never a stack trace."""
    try:
        app()
    except (VisionOpsError, OSError) as error:
        typer.echo(f"visionops: {error}", err=True)
        sys.exit(2)
