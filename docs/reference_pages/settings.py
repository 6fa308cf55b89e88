"""Builds the page of settings: every environment variable, from the classes that read them."""

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from reference_pages.fields import default_of, values
from reference_pages.markdown import code, page, table
from visionops_assets.settings import Settings
from visionops_assets.settings.gone import GONE

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
    return [variable, _default(name, field), values(field), field.description or ""]


def _default(name: str, field: FieldInfo) -> str:
    match name:
        case "project_root":
            return "this checkout"
        case "models":
            return "the packaged one"
        case "triton_environment":
            return "the folder `.venv-triton` beside this environment"
    return default_of(field)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0].rstrip(".")
