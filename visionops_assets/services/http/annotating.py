"""The doors of annotations, alike in every service: what is asked, read and answered."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import from_json

from visionops_assets.catalog.schema import AnnotationRow
from visionops_assets.contracts import Record
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.tasks.registry import annotating

ANNOTATIONS = Tag("annotations", "Annotations: people say what files and predictions really show.")
MAX_ANNOTATION_BYTES = 64 * 1024
NAMED_CLASSES = 20

_PAYLOAD = {
    "schema": {
        "anyOf": [{"type": "object"}, {"type": "null"}],
        "description": 'The content, in the form of the model\'s task: `{"label": "car"}`, or '
        '`{"labels": ["car", "van"]}` where a model gives several. `null` takes back.',
    },
    "examples": {"one": {"value": {"label": "car"}}, "taken back": {"value": None}},
}
ANNOTATION_BODY = {"requestBody": {"required": True, "content": {"application/json": _PAYLOAD}}}

_GIVEN = {
    "annotation_id": 42,
    "model": "classifier",
    "start_s": 2.0,
    "end_s": 4.5,
    "annotation": {"label": "car"},
    "author": "labels",
    "origin": "annotation",
    "created_at": "2026-01-31T12:00:07Z",
}


class UnknownModelError(VisionOpsError):
    """A request names a model that is not declared."""

    code = "unknown_model"


class UnknownClassError(VisionOpsError):
    """An annotation names a class that its model does not have."""

    code = "unknown_class"


class AnnotationQuery(Record):
    """Whom an annotation is for."""

    model: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Name of the model; else the default one.",
    )
    new_classes: bool = Field(
        False, description="Whether it may name classes that the model does not have yet."
    )


class MediaAnnotationQuery(AnnotationQuery):
    """Whom it is for, and which part of a video it is about: by default the whole file."""

    start_s: float | None = Field(None, ge=0, allow_inf_nan=False, description="From here on.")
    end_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Up to here, and not the frame at this time."
    )

    @model_validator(mode="after")
    def _span(self) -> Self:
        if (self.start_s is None) != (self.end_s is None):
            raise ValueError("start_s and end_s: give both of them, or none")
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("end_s: must be later than start_s")
        return self


class AnnotationAnswer(Record, json_schema_extra={"examples": [_GIVEN]}):
    """An annotation. Without a `model` it is for each model that looks at the file."""

    annotation_id: int
    model: str | None
    start_s: float | None
    end_s: float | None
    annotation: dict[str, Any]
    author: str | None = Field(description="Name of the key that gave it.")
    origin: str
    created_at: datetime

    @classmethod
    def of(cls, row: AnnotationRow) -> Self:
        """Make the answer of a row that says something."""
        return cls(
            annotation_id=row.annotation_id,
            model=row.model_name,
            start_s=row.start_s,
            end_s=row.end_s,
            annotation=row.payload or {},
            author=row.author,
            origin=row.origin,
            created_at=row.created_at,
        )


class AnnotationList(Record, json_schema_extra={"examples": [{"annotations": [_GIVEN]}]}):
    """All that was said and not taken back, newest first: of each moment the newest counts."""

    annotations: list[AnnotationAnswer]

    @classmethod
    def of(cls, rows: Sequence[AnnotationRow]) -> Self:
        """Make the answer of rows."""
        return cls(annotations=[AnnotationAnswer.of(row) for row in rows])


def asked_model(models: Sequence[ModelDeclaration], name: str | None) -> ModelDeclaration:
    """Return the model of this name, or the default one, which is the first.

    Raises:
        UnknownModelError: none of this name is declared.
    """
    if name is None:
        return models[0]
    for model in models:
        if model.name == name:
            return model
    known = ", ".join(sorted(model.name for model in models))
    raise UnknownModelError(f"model: no model {name!r} is declared. There are: {known}.")


def said_of_media(
    models: Sequence[ModelDeclaration], label: str, source: str, model_name: str | None
) -> dict[str, Any]:
    """Read the label that comes with a file; return the payload.

    It is in the form of the task of the model that is named, or else of the first one that looks
    at the source: the default one, if it does.

    Raises:
        UnknownModelError: the model that is named is not declared.
        InvalidRequestError: it is no label of the task.
    """
    if model_name is None:
        looking = [model for model in models if model.media.looks_at(source)]
        model = looking[0] if looking else models[0]
    else:
        model = asked_model(models, model_name)
    return model.payload_of(label)


def read_annotation(body: bytes, model: ModelDeclaration) -> dict[str, Any] | None:
    """Read a body by the task of the model; return the payload, or None if it takes back.

    Raises:
        InvalidRequestError: it is no JSON, or not in the form of the task.
    """
    try:
        said = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"The body is no JSON: {error}.") from None
    if said is None:
        return None
    task = annotating(model.task)
    return task.payload(task.parse(said))


def require_classes(
    payload: dict[str, Any], model: ModelDeclaration, classes: Collection[str]
) -> None:
    """Refuse classes that the model does not have; it has any while nothing was trained.

    Raises:
        UnknownClassError: it names such a class.
    """
    labels = annotating(model.task).recall(payload).labels
    unknown = [label for label in labels if label not in classes]
    if not classes or not unknown:
        return
    known = sorted(classes)
    shown = ", ".join(known[:NAMED_CLASSES]) + (", ..." if len(known) > NAMED_CLASSES else "")
    raise UnknownClassError(
        f"{model.name} has no class {', '.join(map(repr, unknown))}. It has: {shown}. Add "
        "new_classes=true if it shall learn a new one."
    )
