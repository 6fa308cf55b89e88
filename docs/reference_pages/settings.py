"""Builds the page of settings: every environment variable, from the classes that read them."""

from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from reference_pages.markdown import code, page, table
from visionops_assets.settings import Settings
from visionops_assets.settings.loading import GONE

_INTRODUCTION = """\
A variable is `VISIONOPS_` and the setting's name in capitals. `visionops up` writes addresses and
generated credentials to `<home>/stack.env`; a variable of the environment wins over that file. A
variable with a value that cannot be used is refused by name before anything starts."""


def build() -> str:
    """Return the page, a section per class of settings, in the order of the class `Settings`."""
    sections = []
    shown: set[str] = set()
    for group in (*Settings.__bases__, Settings):
        fields = group.model_fields if issubclass(group, BaseSettings) else {}
        names = [name for name in fields if name not in shown]
        shown.update(names)
        title = "The installation" if group is Settings else _first_line(group.__doc__)
        rows = [_row(name, Settings.model_fields[name]) for name in names]
        sections += [f"## {title}", table(["variable", "default", "values", "meaning"], rows)]
    gone = table(["variable", "now"], [[code(name), text] for name, text in GONE.items()])
    return page("Settings", _INTRODUCTION, *sections, "## Variables of earlier versions", gone)


def _row(name: str, field: FieldInfo) -> list[str]:
    variable = f'<span id="{name}"></span>`VISIONOPS_{name.upper()}`'
    return [variable, _default(name, field), _values(field), field.description or ""]


def _default(name: str, field: FieldInfo) -> str:
    default = field.default
    if field.default_factory is not None:
        return "see the meaning"
    if default is None or default is PydanticUndefined or default == "":
        return "none"
    if name == "project_root":
        return "this checkout"
    if name == "triton_environment":
        return "the folder `.venv-triton` beside this environment"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return code(_plain(default))


def _plain(value: object) -> str:
    """Write a value as an environment variable takes it; `_` parts the thousands of large ones."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:_}" if isinstance(value, int) and value >= _MANY else str(value)


def _values(field: FieldInfo) -> str:
    """Say which values are accepted: the choices of a literal, or the type and its bounds."""
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    words = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            words += [code(choice) for choice in get_args(kind)]
        else:
            words.append(_TYPES[kind])
    bounds = [_bound(rule) for rule in field.metadata]
    return ", ".join([*words, *(bound for bound in bounds if bound)])


_MANY = 100_000
_TYPES: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    SecretStr: "text, secret",
    Path: "path",
}


def _alternatives(annotation: object) -> tuple[object, ...]:
    if get_origin(annotation) in {Union, UnionType}:
        return get_args(annotation)
    return (annotation,)


def _bound(rule: object) -> str:
    match rule:
        case Gt(gt=value):
            return f"above {value}"
        case Ge(ge=value):
            return f"at least {value}"
        case Lt(lt=value):
            return f"below {value}"
        case Le(le=value):
            return f"at most {value}"
        case _:
            pattern = getattr(rule, "pattern", None)
            return f"matches {code(pattern)}" if pattern else ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0].rstrip(".")
