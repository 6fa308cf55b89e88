"""Builds the page of commands by walking the command line's own tree."""

from collections.abc import Iterator

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from reference_pages.markdown import code, page, table
from visionops_assets.cli import app

Parameter = TyperArgument | TyperOption

_INTRODUCTION = """\
`--help` of a command prints the same text. The exit code is 0 on success, 1 where a command answers
"no" (`status` while a server is down), and 2 with one line that says what was wrong and what to
do."""


def build() -> str:
    """Return the page, a section per command that is not hidden."""
    sections = []
    for path, command in leaf_commands():
        parameters = list(_shown(command))
        usage = f"```\n{_usage(path, parameters)}\n```"
        sections += [f"## {path}", _described(command), usage]
        if parameters:
            rows = map(_row, parameters)
            sections.append(table(["parameter", "default", "meaning"], rows))
    return page("Commands", _INTRODUCTION, *sections)


def leaf_commands() -> Iterator[tuple[str, TyperCommand]]:
    """Yield each command that does something, by the words that call it, without hidden ones."""
    yield from _leaves("visionops", typer.main.get_command(app))


def _leaves(path: str, command: object) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup) and not command.hidden:
        for name, child in command.commands.items():
            yield from _leaves(f"{path} {name}", child)
    elif isinstance(command, TyperCommand) and not command.hidden:
        yield path, command


def _described(command: TyperCommand) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))


def _usage(path: str, parameters: list[Parameter]) -> str:
    words = [path]
    for parameter in parameters:
        name = _value_of(parameter)
        if isinstance(parameter, TyperArgument):
            many = "..." if parameter.nargs == -1 else ""
            words.append(f"{name}{many}" if parameter.required else f"[{name}{many}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {name}")
    if any(isinstance(p, TyperOption) and not p.required for p in parameters):
        words.append("[OPTIONS]")
    return " ".join(words)


def _value_of(parameter: Parameter) -> str:
    return parameter.metavar or str(parameter.name).upper()


def _shown(command: TyperCommand) -> Iterator[Parameter]:
    for parameter in command.params:
        if isinstance(parameter, TyperArgument | TyperOption) and not parameter.hidden:
            yield parameter


def _row(parameter: Parameter) -> list[str]:
    return [_names(parameter), _default(parameter), parameter.help or ""]


def _names(parameter: Parameter) -> str:
    if isinstance(parameter, TyperArgument):
        return code(_value_of(parameter))
    return ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Parameter) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.required:
        return "required"
    is_flag = isinstance(parameter, TyperOption) and parameter.is_flag
    if is_flag or parameter.default is None or callable(parameter.default):
        return ""
    return code(parameter.default)
