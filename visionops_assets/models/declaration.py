"""The record of a declared model: all that a model is. Services read it without Dagster."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.base import Record
from visionops_assets.models.sections import (
    Gate,
    Labelling,
    MediaChoice,
    Monitoring,
    Retraining,
    Serving,
    Snapshots,
    Training,
)
from visionops_assets.tasks.registry import OFFERED, annotating, scores_of


def _is_a_task(name: str) -> str:
    if name not in OFFERED:
        raise ValueError(f"There is no task {name!r}: choose one of {', '.join(OFFERED)}.")
    return name


TaskName = Annotated[str, AfterValidator(_is_a_task)]


class ModelDeclaration(Record):
    """A declared model. Every field has a default but `name` and `task`.

    Settings say where servers are and what a machine may use; what a model is stands here.
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Name of the model, by which clients, Triton and MLflow know it; that of its "
        "folder, too.",
    )
    task: TaskName = Field(description="Kind of answer that it gives.")
    description: str = Field("", description="One line for those who find it in a list.")
    default: bool = Field(
        False,
        description="Whether requests that name no model mean this one. Of several models, exactly "
        "one says so.",
    )
    media: MediaChoice = MediaChoice()
    frames: PreprocessingSpec = PreprocessingSpec()
    snapshots: Snapshots = Snapshots()
    training: Training = Training()
    gate: Gate = Gate()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    labelling: Labelling = Labelling()

    @field_validator("gate")
    @classmethod
    def _by_a_score_of_the_task(cls, gate: Gate, info: ValidationInfo) -> Gate:
        task = info.data.get("task")
        if gate.score is None or task is None or gate.score in (known := scores_of(task)):
            return gate
        raise ValueError(f"score: {task} has no {gate.score!r}: choose one of {', '.join(known)}.")

    @property
    def payload_field(self) -> str:
        """Return the field by which annotations in the form of its task are known."""
        return annotating(self.task).field

    def payload_of(self, label: str) -> dict[str, Any]:
        """Return an annotation in the form of its task, of a label as one text.

        Raises:
            InvalidRequestError: it is no label of this task.
        """
        task = annotating(self.task)
        return task.payload(task.read(label))

    def answer_of(
        self, label: str, probabilities: Sequence[float], classes: Sequence[str]
    ) -> dict[str, Any]:
        """Return an answer in the form of its task, with how sure the model was if that is known.

        Raises:
            InvalidRequestError: it is no answer of this task.
        """
        task = annotating(self.task)
        said = task.read(label)
        sure = task.confidence(said.labels, probabilities, classes)
        return task.payload(said) | ({} if sure is None else {"confidence": sure})
