"""Annotations of classifiers: one label, `{"label": "car"}`."""

from collections.abc import Mapping, Sequence
from typing import Any

from visionops_assets.contracts.base import Record
from visionops_assets.contracts.text import PlainText
from visionops_assets.tasks.annotations import Annotating, Annotation, parsed

NAME = "classification"


class _Payload(Record):
    label: PlainText


class _Annotating:
    """See `Annotating`."""

    field = "label"

    def parse(self, payload: object) -> Annotation:
        """See `Annotating`."""
        return Annotation(NAME, (parsed(_Payload, payload).label,))

    def read(self, text: str) -> Annotation:
        """See `Annotating`. The text is the label."""
        return self.parse({"label": text})

    def payload(self, annotation: Annotation) -> dict[str, Any]:
        """See `Annotating`."""
        [label] = annotation.labels
        return {"label": label}

    def labels(self, text: str) -> tuple[str, ...]:
        """See `Annotating`."""
        return (text,)

    def contradicts(self, labels: Sequence[str], others: Sequence[str]) -> bool:
        """See `Annotating`: one is another class."""
        return tuple(labels) != tuple(others)

    def confidence(
        self,
        labels: Sequence[str],  # noqa: ARG002 - the likeliest class is the answer
        probabilities: Sequence[float],
        classes: Sequence[str],  # noqa: ARG002 - see above
    ) -> float | None:
        """See `Annotating`."""
        return max(probabilities, default=None)

    def recall(self, payload: Mapping[str, Any]) -> Annotation:
        """See `Annotating`."""
        return Annotation(NAME, (payload["label"],))


TASK: Annotating = _Annotating()
