"""`visionops ...`: the commands. Each says what it does and leaves the doing to its room."""

import logging
import sys

import typer

from visionops_assets.cli import (
    backups,
    cameras,
    capacity,
    dead_letters,
    decisions,
    doctor,
    env,
    failures,
    imports,
    keys,
    labelling_batches,
    link,
    model,
    models,
    quarantine,
    releases,
    root,
    servers,
    sweep,
)

app = typer.Typer(
    name="visionops",
    cls=root.Commands,
    epilog=root.EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(root.options)
for command in (
    servers.up,
    servers.down,
    servers.status,
    servers.logs,
    doctor.doctor,
    env.env,
    sweep.sweep,
    capacity.capacity,
    model.predict,
    model.demo,
    link.link,
):
    app.command()(command)
app.command("import")(imports.import_media)
app.add_typer(keys.app, name="keys")
app.add_typer(cameras.app, name="cameras")
app.add_typer(models.app, name="models")
app.add_typer(releases.app, name="releases")
app.add_typer(decisions.app, name="decisions")
app.add_typer(labelling_batches.app, name="labelling-batches")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(backups.app, name="backups")


def main() -> None:
    """Run the command line. What a user may see is a message, never a stack trace."""
    # What libraries log about a server that does not answer, our own sentence says.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except Exception as error:
        typer.echo(f"visionops: {failures.sentence(error)}", err=True)
        sys.exit(2)
