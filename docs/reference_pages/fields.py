"""Writes the default and the accepted values of a pydantic field, for the reference pages."""

from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reference_pages.markdown import code


def default_of(field: FieldInfo) -> str:
    """Write the default of a field."""
    default = field.default
    if field.default_factory is not None:
        return "see the meaning"
    if default is None or default is PydanticUndefined or default in ("", ()):
        return "none"
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


def values(field: FieldInfo) -> str:
    """Say which values are accepted: the choices of a literal, or the type and its bounds."""
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    words = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            words += [code(choice) for choice in get_args(kind)]
        else:
            words.append(_TYPES.get(kind, "list" if get_origin(kind) is tuple else "object"))
    bounds = [_bound(rule) for rule in field.metadata]
    return ", ".join([*dict.fromkeys(words), *(bound for bound in bounds if bound)])


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
