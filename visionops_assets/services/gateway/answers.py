"""The answers of the gateway: a prediction, or the reason for its absence."""

from collections.abc import Mapping
from heapq import nlargest
from operator import itemgetter
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from visionops_assets.contracts import Record, Role
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.errors import VisionOpsError
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.services.http.problems import detail_of, status_of

_PREDICTION = {
    "label": "car",
    "labels": ["car"],
    "probability": 0.93,
    "probabilities": {"bicycle": 0.02, "bus": 0.05, "car": 0.93},
    "prediction_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "model_version": 8,
    "snapshot_id": "ds-3f2a9c01d4e5b607",
    "role": "champion",
    "drawn": False,
}
_REFUSAL = {"status": 422, "code": "corrupt", "detail": "The image does not decode."}


class PredictionAnswer(Record, json_schema_extra={"examples": [_PREDICTION]}):
    """The answer for one image.

    `label` has all `labels` as one text. `probability` is the model's own estimate that they are
    right. A model of one class per image applies no threshold: an image of something else gets one
    of the classes, too. `probabilities` are by class in the model's order; with `top_k`, only those
    of the best classes, best first.
    """

    label: str
    labels: tuple[str, ...]
    probability: float
    probabilities: Mapping[str, float]
    prediction_id: UUID
    model_version: int
    snapshot_id: str = Field(description="The dataset that the version was trained on.")
    role: Literal[Role.CHAMPION, Role.CANARY]
    drawn: bool = Field(
        False, description="Whether its label is asked for, right or wrong (`answers_draw`)."
    )

    @classmethod
    def of(
        cls,
        inference: Inference,
        role: Literal[Role.CHAMPION, Role.CANARY],
        top_k: int | None,
        audit_percent: float,
    ) -> Self:
        """Make the answer from Triton's inference."""
        answer = inference.answer
        probabilities = dict(zip(inference.classes, answer.probabilities, strict=True))
        shown = probabilities
        if top_k is not None:
            shown = dict(nlargest(top_k, probabilities.items(), key=itemgetter(1)))
        return cls(
            label=answer.label,
            labels=answer.labels,
            probability=answer.confidence,
            probabilities=shown,
            prediction_id=inference.prediction_id,
            model_version=inference.model_version,
            snapshot_id=inference.snapshot_id,
            role=role,
            drawn=is_drawn(inference.prediction_id, audit_percent),
        )


class Refusal(Record):
    """Why one image of several has no prediction: a problem's status, code and detail."""

    status: int
    code: str
    detail: str

    @classmethod
    def of(cls, error: VisionOpsError) -> Self:
        """Make a refusal from an error."""
        return cls(status=status_of(error), code=error.code, detail=detail_of(error))


class ImageResult(Record):
    """The result of one image of a list: a prediction or a refusal."""

    prediction: PredictionAnswer | None = None
    refusal: Refusal | None = None


_RESULTS = [
    {"prediction": _PREDICTION},
    {"refusal": _REFUSAL},
]


class ListAnswer(Record, json_schema_extra={"examples": [{"results": _RESULTS}]}):
    """Answer to a list: one result per image, in the order of the images."""

    results: list[ImageResult]


class FrameResult(ImageResult):
    """The result of one frame of a stream; `sequence` counts its frames from 0."""

    sequence: int
