"""Annotations: what a person says an image shows, and how each task reads and writes it.

Needs the standard library and pydantic alone, since services read annotations at their doors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from visionops_assets.contracts.base import Record
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.errors import InvalidRequestError

_Model = TypeVar("_Model", bound=Record)


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels that a person gave one image or one prediction, of one task.

    Equal annotations have equal labels in equal order.
    """

    task: str
    labels: tuple[str, ...]

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
