"""Annotations of classifiers: one label, `{"label": "car"}`."""

from collections.abc import Mapping, Sequence
from typing import Any

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

NAME = "classification"
SHOWN = 5


class _Payload(Drawing):
    label: PlainText


class _Annotating:
    """See `Annotating`."""

    field = "label"

    def parse(self, payload: object) -> Annotation:
        """See `Annotating`. Boxes of another label are refused."""
        said = parsed(_Payload, payload)
        return self.gather([said.label], said.boxes, said.size_px)

    def read(self, text: str) -> Annotation:
        """See `Annotating`. The text is the label."""
        return self.parse({"label": text})

    def gather(
        self,
        labels: Sequence[str],
        boxes: Sequence[Box] = (),
        size_px: tuple[int, int] | None = None,
    ) -> Annotation:
        """See `Annotating`. All of them have one label."""
        found = distinct(labels, boxes)
        if len(found) == 1:
            return Annotation(NAME, tuple(found), in_order(boxes), size_px)
        if not found:
            raise InvalidRequestError("It has no label, and this model takes one per picture.")
        shown = ", ".join(map(repr, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
        raise InvalidRequestError(
            f"It has {len(found)} different labels, {shown}, and this model takes one per picture."
        )

    def payload(self, annotation: Annotation) -> dict[str, Any]:
        """See `Annotating`."""
        [label] = annotation.labels
        return {"label": label} | drawn(annotation)

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
        return Annotation(NAME, (payload["label"],), *recalled(payload))


TASK: Annotating = _Annotating()
