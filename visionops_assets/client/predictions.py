"""What the gateway answers, as far as its clients need it. Fields that come later are let pass."""

from collections.abc import Mapping
from http import HTTPStatus
from uuid import UUID

from visionops_assets.contracts import Record, Role


class PredictedImage(Record, extra="ignore"):
    """What the model says of one image; see the gateway's API for the order of `probabilities`."""

    label: str
    probability: float
    probabilities: Mapping[str, float]
    prediction_id: UUID
    model_version: int
    snapshot_id: str
    role: Role


class RefusedImage(Record, extra="ignore"):
    """Why one image of several has no prediction."""

    status: int
    code: str
    detail: str


class ImageOutcome(Record, extra="ignore"):
    """What became of one image: one of the two is there."""

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
        """Whether the image may be predicted if it is sent again."""
        return self.refusal is not None and (
            self.refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or self.refusal.status == HTTPStatus.TOO_MANY_REQUESTS
        )


class ListedImages(Record, extra="ignore"):
    """What became of a list of images, in their order."""

    results: list[ImageOutcome]


class StreamedFrame(ImageOutcome, extra="ignore"):
    """What became of one frame of a stream; `sequence` counts its frames from 0."""

    sequence: int


class GivenLabel(Record, extra="ignore"):
    """A label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str
