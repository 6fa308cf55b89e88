"""Annotations of several labels: `{"labels": ["car", "van"]}`; an empty list shows nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.contracts.text import PlainText
from visionops_assets.errors import InvalidRequestError
from visionops_assets.tasks.annotations import (
    Annotating,
    Annotation,
    Box,
    Drawing,
    distinct,
    drawn,
    in_order,
    parsed,
    recalled,
)

NAME = "multilabel"
MAX_LABELS = 100
COMMA = SEPARATOR.strip()


def _without_comma(label: str) -> str:
    if COMMA in label:
        raise ValueError("must not contain a comma, which separates labels")
    return label


def _different(labels: list[str]) -> list[str]:
    if len(set(labels)) < len(labels):
        raise ValueError("must not name one label twice")
    return labels


class _Payload(Drawing):
    labels: Annotated[
        list[Annotated[PlainText, AfterValidator(_without_comma)]],
        Field(max_length=MAX_LABELS),
        AfterValidator(_different),
    ]


class _Annotating:
    """See `Annotating`."""

    field = "labels"

    def parse(self, payload: object) -> Annotation:
        """See `Annotating`. Labels are sorted: their order says nothing."""
        said = parsed(_Payload, payload)
        unnamed = sorted({box.label for box in said.boxes} - set(said.labels))
        if unnamed:
            raise InvalidRequestError(f"boxes: {unnamed[0]!r} is not among the labels.")
        labels = tuple(sorted(said.labels))
        return Annotation(NAME, labels, in_order(said.boxes), said.size_px)

    def read(self, text: str) -> Annotation:
        """See `Annotating`. Labels are separated by commas."""
        return self.parse({"labels": text.split(COMMA) if text.strip() else []})

    def gather(
        self,
        labels: Sequence[str],
        boxes: Sequence[Box] = (),
        size_px: tuple[int, int] | None = None,
    ) -> Annotation:
        """See `Annotating`. It has the set of them, which may be empty."""
        said = {"labels": distinct(labels, boxes), "boxes": list(boxes), "size_px": size_px}
        return self.parse(said)

    def payload(self, annotation: Annotation) -> dict[str, Any]:
        """See `Annotating`."""
        return {"labels": list(annotation.labels)} | drawn(annotation)

    def labels(self, text: str) -> tuple[str, ...]:
        """See `Annotating`."""
        return tuple(text.split(SEPARATOR)) if text else ()

    def contradicts(self, labels: Sequence[str], others: Sequence[str]) -> bool:
        """See `Annotating`: one is another set."""
        return set(labels) != set(others)

    def confidence(
        self, labels: Sequence[str], probabilities: Sequence[float], classes: Sequence[str]
    ) -> float | None:
        """See `Annotating`. Classes are taken for independent."""
        if len(probabilities) != len(classes) or not set(labels) <= set(classes):
            return None
        # Anybody may write to the topic of predictions.
        both = zip(classes, (min(max(each, 0.0), 1.0) for each in probabilities), strict=True)
        return math.prod(share if name in labels else 1 - share for name, share in both)

    def recall(self, payload: Mapping[str, Any]) -> Annotation:
        """See `Annotating`."""
        return Annotation(NAME, tuple(payload["labels"]), *recalled(payload))


TASK: Annotating = _Annotating()
