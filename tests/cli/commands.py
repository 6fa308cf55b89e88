"""Every command there is, with words that call it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from typer.main import get_command

from visionops_assets.cli import app

ROOT: Any = get_command(app)
Name = tuple[str, ...]


def commands(command: Any = ROOT, name: Name = ()) -> Iterator[tuple[Name, Any]]:
    """Yield each group and each command by its name, in words."""
    yield name, command
    for word, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*name, word))


GROUPS = {name: each for name, each in commands() if hasattr(each, "commands")}
COMMANDS = {" ".join(name): each for name, each in commands() if name not in GROUPS}
# What must be said, though no single parameter demands it, or must be of some form.
_MEANINGFUL = {
    "cameras add": ["gate-7", "rtsp://127.0.0.1:1/gate-7"],
    "dead-letters replay": ["--all"],
    "keys add": ["anna", "--scope", "predict"],
    "quarantine retry": ["--code", "corrupt"],
    "trace": ["model", "classifier"],
}


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def words_for(name: str, file: Path) -> list[str]:
    """Call a command with what it demands, each of the right kind. `file` exists."""
    words = name.split()
    if name in _MEANINGFUL:
        return words + _MEANINGFUL[name]
    for parameter in COMMANDS[name].params:
        if parameter.required:
            is_option = parameter.param_type_name == "option"
            words += [*parameter.opts[: int(is_option)], _value(parameter, file)]
    return words


def _value(parameter: Any, file: Path) -> str:
    kind = parameter.type_descriptor.annotation
    values = {int: "1", float: "1", UUID: str(UUID(int=7)), Path: str(file)}
    return values.get(next(iter(get_args(kind)), kind), "x")
