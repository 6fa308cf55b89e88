"""Annotations: what a person says an image shows, and how each task reads and writes it.

Needs the standard library and pydantic alone, since services read annotations at their doors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from visionops_assets.contracts.base import Record
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.contracts.text import PlainText
from visionops_assets.errors import InvalidRequestError

MAX_BOXES = 1000
MAX_SIDE_PX = 1_000_000
DIGITS = 6
"""Decimals of a box: a hundredth of a pixel in a picture of 10,000, and what YOLO's files have."""

_Model = TypeVar("_Model", bound=Record)
_LABELS = TypeAdapter(list[PlainText])
_Share = Annotated[float, AfterValidator(lambda share: round(share, DIGITS))]


class Box(Record):
    """A box around one thing: shares 0..1 of the upright source picture, `x` and `y` of its corner.

    The corner is the upper left one. Shares are rounded: boxes of two tools are then equal.
    """

    label: PlainText
    x: _Share = Field(ge=0, lt=1)
    y: _Share = Field(ge=0, lt=1)
    width: _Share = Field(gt=0, le=1)
    height: _Share = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if max(self.x + self.width, self.y + self.height) > 1 + 2 * 10**-DIGITS:
            raise ValueError("must not reach beyond the picture")
        return self


class Drawing(Record):
    """The fields that annotations of every task may have: boxes, and the size of the picture.

    `size_px` is width and height of the upright picture. Formats that count pixels write by it.
    """

    boxes: list[Box] = Field([], max_length=MAX_BOXES)
    size_px: (
        tuple[
            Annotated[int, Field(ge=1, le=MAX_SIDE_PX)], Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
        ]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels that a person gave one image or one prediction, of one task.

    Equal annotations have equal labels in equal order. Boxes are kept, and models without boxes
    learn from `labels` alone.
    """

    task: str
    labels: tuple[str, ...]
    boxes: tuple[Box, ...] = ()
    size_px: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        """Return the labels as one text, as the column `label` of tables and messages has them."""
        return SEPARATOR.join(self.labels)


class Annotating(Protocol):
    """How annotations of a task are read and written."""

    @property
    def field(self) -> str:
        """Return the field of `payload` that those of other tasks do not have."""

    def parse(self, payload: object) -> Annotation:
        """Read an annotation from JSON that is decoded already. Unknown fields are refused.

        Raises:
            InvalidRequestError: it is not what this task takes. Names the field and the reason.
        """

    def read(self, text: str) -> Annotation:
        """Read an annotation from one text, such as a query, a cell or a column. See `parse`."""

    def gather(
        self,
        labels: Sequence[str],
        boxes: Sequence[Box] = (),
        size_px: tuple[int, int] | None = None,
    ) -> Annotation:
        """Make one annotation of labels for a whole picture and of boxes, which are labels as well.

        Raises:
            InvalidRequestError: a model of this task cannot learn from them.
        """

    def payload(self, annotation: Annotation) -> dict[str, Any]:
        """Return the JSON that `parse` reads."""

    def labels(self, text: str) -> tuple[str, ...]:
        """Return the labels of a text that `Annotation.text` or `Answer.label` made."""

    def contradicts(self, labels: Sequence[str], others: Sequence[str]) -> bool:
        """Say whether two persons' labels of one content cannot both be right."""

    def confidence(
        self, labels: Sequence[str], probabilities: Sequence[float], classes: Sequence[str]
    ) -> float | None:
        """Return a model's own estimate that its answer is right, as `Answer.confidence` has it.

        `probabilities` are in the order of `classes`. None if they do not fit together.
        """

    def recall(self, payload: Mapping[str, Any]) -> Annotation:
        """Read what `payload` wrote, maybe in a newer version: unknown fields are ignored."""


def drawn(annotation: Annotation) -> dict[str, Any]:
    """Return the fields that `Drawing` reads, without empty ones."""
    payload: dict[str, Any] = {}
    if annotation.boxes:
        payload["boxes"] = [box.model_dump() for box in annotation.boxes]
    if annotation.size_px is not None:
        payload["size_px"] = list(annotation.size_px)
    return payload


def recalled(payload: Mapping[str, Any]) -> tuple[tuple[Box, ...], tuple[int, int] | None]:
    """Read what `drawn` wrote, maybe in a newer version: unknown fields are ignored."""
    boxes = tuple(
        Box.model_construct(**{name: box[name] for name in Box.model_fields})
        for box in payload.get("boxes", ())
    )
    size = payload.get("size_px")
    return boxes, None if size is None else (size[0], size[1])


def distinct(labels: Sequence[str], boxes: Sequence[Box]) -> list[str]:
    """Return the different labels of a picture and of its boxes, in order.

    Raises:
        InvalidRequestError: one of them is no plain text.
    """
    try:
        return sorted({*_LABELS.validate_python(list(labels)), *(box.label for box in boxes)})
    except ValidationError as error:
        raise InvalidRequestError(f"A label: {error.errors()[0]['msg']}.") from None


def in_order(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Return boxes in an order of their own, each once: tools order them in different ways."""
    each = {(box.label, box.x, box.y, box.width, box.height): box for box in boxes}
    return tuple(each[key] for key in sorted(each))


def parsed(model: type[_Model], payload: object) -> _Model:
    """Validate decoded JSON strictly: a number is no text.

    Raises:
        InvalidRequestError: it does not fit; names each field and the reason.
    """
    if not isinstance(payload, Mapping):
        raise InvalidRequestError("An annotation is a JSON object.")
    try:
        return model.model_validate(dict(payload))
    except ValidationError as error:
        found = error.errors(include_input=False, include_context=False, include_url=False)
        said = (
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in found
        )
        raise InvalidRequestError("; ".join(said)) from None
