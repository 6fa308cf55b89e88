"""`visionops ...`: the commands. Each says what it does and leaves the doing to its room."""

import sys

import typer

from visionops_assets.cli import (
    backup,
    cameras,
    capacity,
    dead_letters,
    decisions,
    imports,
    keys,
    labelling,
    model,
    quarantine,
    release,
    servers,
    sweep,
)
from visionops_assets.errors import VisionOpsError

app = typer.Typer(
    help="Media in, a served model out.", no_args_is_help=True, pretty_exceptions_enable=False
)
for command in (
    servers.up,
    servers.down,
    servers.status,
    servers.logs,
    sweep.sweep,
    decisions.decisions,
    capacity.capacity,
    model.predict,
    model.demo,
):
    app.command()(command)
app.command("import")(imports.import_media)
app.add_typer(keys.app, name="keys")
app.add_typer(cameras.app, name="camera")
app.add_typer(release.app, name="release")
app.add_typer(labelling.app, name="labelling")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(dead_letters.app, name="dead-letter")
app.add_typer(backup.app, name="backup")


def main() -> None:
    """Run the command line. What a user may see is a message, never a stack trace."""
    try:
        app()
    except (VisionOpsError, OSError) as error:
        typer.echo(f"visionops: {error}", err=True)
        sys.exit(2)
