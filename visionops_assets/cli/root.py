"""The root of all commands: old names, `--version`, and Ctrl-C."""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from visionops_assets.cli.old_names import old_and_new_name

CHECK_SAYS_NO = 1
INTERRUPTED = 130
EPILOG = (
    "VISIONOPS_HOME names the folder that holds the data of a project, by default .visionops in "
    "the current folder. Each project on a machine needs a folder of its own.\n\n"
    "`--json` prints JSON lines, one object per line, and nothing else on standard output. A "
    "command about one thing prints one line.\n\n"
    "Messages go to standard error. Exit codes: 0 success, 1 a check says no, 2 a failure, "
    "130 Ctrl-C."
)


class Commands(TyperGroup):
    """The group of all commands. It understands old names, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace an old name at the front of `args`, and say so on standard error."""
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
