"""`visionops ...`: the commands. Each reads its options and leaves the work to its room."""

import logging
import sys

import typer

from visionops_assets.cli import (
    backups,
    cameras,
    capacity,
    datasets,
    dead_letters,
    decisions,
    demo,
    doctor,
    env,
    failures,
    forget,
    frames,
    imports,
    keys,
    labelling_batches,
    labels,
    link,
    media,
    models,
    predict,
    preflight,
    quarantine,
    releases,
    reproduce,
    root,
    servers,
    sweep,
    trace,
    train,
)

# Headings of `visionops --help`.
_MACHINE = "Servers of this machine"
_MEDIA = "Media and labels"
_MODELS = "Models"
_OPERATION = "Operation"

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
    demo.demo,
    link.link,
):
    app.command(rich_help_panel=_MACHINE)(command)
app.command("import", rich_help_panel=_MEDIA)(imports.import_media)
app.command(rich_help_panel=_MODELS)(predict.predict)
app.command(rich_help_panel=_MODELS)(train.train)
app.command(rich_help_panel=_MODELS)(trace.trace)
app.command(rich_help_panel=_MODELS)(reproduce.reproduce)
app.command(rich_help_panel=_MEDIA)(forget.forget)
app.command(rich_help_panel=_OPERATION)(capacity.capacity)
app.command(rich_help_panel=_OPERATION)(preflight.preflight)
app.command(rich_help_panel=_OPERATION)(sweep.sweep)
for group, name, panel in (
    (cameras.app, "cameras", _MEDIA),
    (labelling_batches.app, "labelling-batches", _MEDIA),
    (labels.app, "labels", _MEDIA),
    (media.app, "media", _MEDIA),
    (frames.app, "frames", _MEDIA),
    (quarantine.app, "quarantine", _MEDIA),
    (dead_letters.app, "dead-letters", _MEDIA),
    (datasets.app, "datasets", _MODELS),
    (models.app, "models", _MODELS),
    (releases.app, "releases", _MODELS),
    (decisions.app, "decisions", _MODELS),
    (keys.app, "keys", _OPERATION),
    (backups.app, "backups", _OPERATION),
):
    app.add_typer(group, name=name, rich_help_panel=panel)


def main() -> None:
    """Run the command line. A user sees a message, never a stack trace."""
    # Our own sentence says that a server does not answer; libraries' log lines about it are
    # dropped.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except Exception as error:
        typer.echo(f"visionops: {failures.sentence(error)}", err=True)
        sys.exit(2)
