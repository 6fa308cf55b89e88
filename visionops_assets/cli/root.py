"""The root of all commands: old names, `--version`, and Ctrl-C."""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from visionops_assets.cli.old_names import old_and_new_name

INTERRUPTED = 130
EPILOG = (
    "Everything is kept in the folder that VISIONOPS_HOME names, by default .visionops in the "
    "current folder; a second one makes a second project on the same machine.\n\n"
    "`--json` prints JSON lines on standard output and nothing else: one object per line, one line "
    "per thing, so that a command about one thing prints one document.\n\n"
    "Messages go to standard error. The exit code is 0 after success and 2 after a failure, "
    "1 where a command answers no, 130 after Ctrl-C."
)


class Commands(TyperGroup):
    """The group of all commands, which takes old names for new ones."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace an old name at the front of `args`, and say so once."""
        renamed = old_and_new_name(args)
        if renamed:
            old, new = renamed
            typer.echo(f"visionops: `{old}` is now `visionops {new}`.", err=True)
            args = [*new.split(), *args[len(old.split()) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends it with one line and the exit code of a signal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("visionops: Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None


def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda is_asked: _print_version() if is_asked else None,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Turn raw images and videos into a served model that stays right."""


def _print_version() -> None:
    typer.echo(f"visionops {version('visionops')}")
    raise typer.Exit
