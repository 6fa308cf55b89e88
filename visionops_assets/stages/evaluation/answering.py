"""Holdout frames to judge a candidate on, and its and the champion's answers to them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import Candidate
from visionops_assets.contracts.tensors import NETWORK_EMBEDDING
from visionops_assets.errors import SnapshotError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    TRAIN,
    labels_of,
    read_members,
)
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.evaluation.rules import ChampionAnswers
from visionops_assets.stages.model_files import download_model
from visionops_assets.tasks.base import Answer, Labels
from visionops_assets.tasks.evaluation import Evaluation
from visionops_assets.tasks.registry import judging, serving


@dataclass(frozen=True)
class Answers:
    """A model's answers to N holdout frames, beside the labels of people (N).

    `embeddings` are float32 (N, E).
    """

    task: str
    classes: tuple[str, ...]
    given: Sequence[Answer]
    truth: Sequence[Labels]
    embeddings: np.ndarray

    @cached_property
    def evaluation(self) -> Evaluation:
        """Return how the task judges them."""
        return judging(self.task).evaluate(self.given, self.truth, self.classes)

    @property
    def texts(self) -> list[str]:
        """Return the labels of each answer as one text (N)."""
        return [answer.label for answer in self.given]

    @property
    def probabilities(self) -> np.ndarray:
        """Return float32 (N, C), in the order of `classes`."""
        return np.array([answer.probabilities for answer in self.given], np.float32)


def holdout_of(
    object_store: ObjectStore,
    candidate: Candidate,
    current: Release | None,
    snapshot: SnapshotFiles,
) -> SnapshotFiles:
    """Return the frames of the candidate's holdout that neither model was trained on."""
    holdout = snapshot.side(HOLDOUT)
    if current is not None and current.snapshot_id != candidate.snapshot_id:
        # Today's snapshots keep the sides of the one before. In older ones sides may have changed
        # where groups grew together.
        known = read_members(object_store, current.snapshot_id)
        trained_on = known.loc[known["split"] == TRAIN, "media_id"]
        holdout = holdout.where(~holdout.members["media_id"].isin(trained_on).to_numpy())
    if holdout.members.empty:
        raise SnapshotError(
            f"Snapshot {candidate.snapshot_id} has no holdout frame that the champion was not "
            "trained on. Add labelled media."
        )
    return holdout


def champion_answers_of(
    tracking: Tracking, current: Release | None, candidate: Candidate, holdout: SnapshotFiles
) -> ChampionAnswers | None:
    """Return the champion's answers; None without a champion, or if it is the candidate."""
    if current is None or current.model_version == candidate.model_version:
        return None
    run_id = tracking.version_run_id(current.model_name, current.model_version)
    answers = answer(tracking, run_id, holdout)
    return ChampionAnswers(current.model_version, answers.evaluation)


def answer(tracking: Tracking, mlflow_run_id: str, holdout: SnapshotFiles) -> Answers:
    """Let a registered model answer to the holdout; a class it does not know counts as wrong."""
    # PyTorch takes two seconds to import, and most runs evaluate nothing.
    from visionops_assets.tasks.running import run  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
        module, card = download_model(tracking, mlflow_run_id, Path(folder))
    outputs = run(module, holdout.images, card)
    return Answers(
        task=card.task,
        classes=card.classes,
        given=serving(card.task).decode(outputs, card),
        truth=labels_of(holdout.members, card.task),
        embeddings=outputs[NETWORK_EMBEDDING.name],
    )
