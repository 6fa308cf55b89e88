"""Annotations of several labels: `{"labels": ["car", "van"]}`; an empty list shows nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from visionops_assets.contracts.base import Record
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.contracts.text import PlainText
from visionops_assets.tasks.annotations import Annotating, Annotation, parsed

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


class _Payload(Record):
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
        return Annotation(NAME, tuple(sorted(parsed(_Payload, payload).labels)))

    def read(self, text: str) -> Annotation:
        """See `Annotating`. Labels are separated by commas."""
        return self.parse({"labels": text.split(COMMA) if text.strip() else []})

    def payload(self, annotation: Annotation) -> dict[str, Any]:
        """See `Annotating`."""
        return {"labels": list(annotation.labels)}

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
        return Annotation(NAME, tuple(payload["labels"]))


TASK: Annotating = _Annotating()
