"""Builds the page of model declarations, from the records that read them."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reference_pages.fields import default_of, values
from reference_pages.markdown import code, page, table
from visionops_assets.models import DECLARATION_FILE, MODEL_TYPE, ModelDeclaration
from visionops_assets.tasks.registry import TASKS

_INTRODUCTION = f"""\
A model is one file, `NAME/{DECLARATION_FILE}` in the folder that `VISIONOPS_MODELS` names, and
`visionops models new` writes one. Fields that are left out have their defaults. A wrong one is
refused before anything starts, with file, field and range; `visionops models check` tries a file
out. A change needs `visionops down` and `up`.

```yaml
type: {MODEL_TYPE}
attributes:
  name: flowers
  task: classification
  frames: {{size_px: 96, resize: letterbox}}
  training: {{network: resnet-18, augment: {{flip: horizontal}}}}
  gate: {{min_accuracy: 0.8}}
```

Of several models exactly one says `default: true`: it answers requests that name no model."""


def build() -> str:
    """Return the page, a section per record."""
    sections = []
    for title, record in _sections("", ModelDeclaration):
        fields = {name: f for name, f in record.model_fields.items() if not _is_section(f)}
        heading = f"## `{title}`" if title else "## The model"
        rows = [_row(name, field) for name, field in fields.items()]
        sections += [heading, table(["field", "default", "values", "meaning"], rows)]
    return page("Model declarations", _INTRODUCTION, *sections)


def _sections(path: str, record: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, record
    for name, field in record.model_fields.items():
        if _is_section(field):
            yield from _sections(f"{path}.{name}".lstrip("."), field.annotation)  # type: ignore[arg-type]


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _row(name: str, field: FieldInfo) -> list[str]:
    required = "required" if field.is_required() else default_of(field)
    accepted = ", ".join(map(code, TASKS)) if name == "task" else values(field)
    return [code(name), required, accepted, field.description or ""]
