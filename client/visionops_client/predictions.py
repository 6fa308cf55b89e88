"""The answers of the gateway, as far as clients need them. Unknown fields are ignored."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from visionops_client.records import Answer


class PredictedImage(Answer):
    """The model's answer to one image.

    `label` has all `labels` as one text, which gateways of earlier versions do not list.
    `probability` is the model's own estimate that they are right. The gateway's API says the order
    of `probabilities`.
    """

    label: str
    labels: tuple[str, ...] = ()
    probability: float
    probabilities: Mapping[str, float]
    prediction_id: UUID
    model_version: int
    snapshot_id: str
    role: str
    drawn: bool = False
    """Whether its label is asked for, right or wrong: give it with `answers_draw`."""


class RefusedImage(Answer):
    """Why one image of several has no prediction."""

    status: int
    code: str
    detail: str


class ImageOutcome(Answer):
    """The result of one image: a prediction or a refusal."""

    prediction: PredictedImage | None
    refusal: RefusedImage | None

    @property
    def outcome(self) -> PredictedImage | RefusedImage:
        """Return the one that is there."""
        found = self.prediction or self.refusal
        if found is None:
            raise ValueError("an image has neither a prediction nor a refusal")
        return found

    @property
    def is_temporary(self) -> bool:
        """Say whether the image may be predicted if it is sent again."""
        return self.refusal is not None and (
            self.refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or self.refusal.status == HTTPStatus.TOO_MANY_REQUESTS
        )


class ListedImages(Answer):
    """The results of a list of images, in their order."""

    results: list[ImageOutcome]


class StreamedFrame(ImageOutcome):
    """The result of one frame of a stream; `sequence` counts its frames from 0."""

    sequence: int


class ModelDescription(Answer):
    """A declared model. While no version of it serves, the fields of a version are None."""

    name: str
    task: str
    description: str
    default: bool
    version: int | None
    since: datetime | None
    snapshot_id: str | None
    classes: tuple[str, ...] | None
    frame_size_px: int | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


class ListedModels(Answer):
    """The declared models, the default one first."""

    models: tuple[ModelDescription, ...]


class GivenLabel(Answer):
    """A label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str
