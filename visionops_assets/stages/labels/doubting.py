"""Doubts the labels of a snapshot, by what a trained model sees in its frames.

Imports PyTorch, scikit-learn and cleanlab, so only the runs that doubt import it.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.catalog.schema import TrainedVersion
from visionops_assets.contracts.payloads import SEPARATOR
from visionops_assets.contracts.tensors import NETWORK_EMBEDDING
from visionops_assets.errors import NotFoundError
from visionops_assets.resources.columns import frame_of
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import labels_of
from visionops_assets.resources.snapshot_reading import SnapshotFiles, on_whole_frames
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.labels.doubts import DOUBTS, Doubted
from visionops_assets.stages.model_files import download_model
from visionops_assets.tasks.base import Doubt
from visionops_assets.tasks.registry import doubting
from visionops_assets.tasks.running import run
from visionops_assets.vision.places import Whereabouts

MOST_FRAMES = 20_000
"""Frames that are judged at once: about a minute of one core. Of more, whole groups are drawn."""


def doubt_labels(
    object_store: ObjectStore,
    tracking: Tracking,
    whereabouts: Whereabouts,
    version: TrainedVersion,
    tell: Callable[[str], None],
    shown: int,
) -> Doubted:
    """Doubt the labels of the snapshot that a version was trained on.

    Frames of shards that turn out to be damaged are left out.

    Raises:
        NotFoundError: the snapshot or the model is gone.
        DamagedArtifactError: files of one of them are not what was written.
    """
    if version.mlflow_run_id is None:
        name = f"{version.model_name} {version.model_version}"
        raise NotFoundError(f"Nobody noted the MLflow run of {name}: train a newer version.")
    with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
        module, card = download_model(tracking, version.mlflow_run_id, Path(folder))

    def work(files: SnapshotFiles) -> Doubted:
        members = files.members
        embeddings = run(module, files.images, card)[NETWORK_EMBEDDING.name]
        groups = members["group_id"].to_numpy(np.str_)
        doubts = doubting(card.task).doubts(embeddings, labels_of(members, card.task), groups)
        frames = [files.images[doubt.row] for doubt in doubts[:shown]]
        return Doubted(_table(members, doubts), frames, len(members))

    return on_whole_frames(
        object_store, version.snapshot_id, whereabouts, work, tell, chosen=_drawn
    )


def _drawn(members: pd.DataFrame) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(members), np.bool_)
    mask[drawn_rows(members["group_id"].to_numpy(np.str_), MOST_FRAMES)] = True
    return mask


def drawn_rows(groups: npt.NDArray[np.str_], most: int) -> npt.NDArray[np.int64]:
    """Draw whole groups until they have `most` of N frames, always the same; all if fewer.

    Returns:
        Their rows in ascending order, at most `most`: the last group may be cut.
    """
    if len(groups) <= most:
        return np.arange(len(groups))
    _, number = np.unique(groups, return_inverse=True)
    place = np.random.default_rng(0).permutation(number.max() + 1)[number]
    return np.sort(np.argsort(place, kind="stable")[:most])


def _table(members: pd.DataFrame, doubts: Sequence[Doubt]) -> pd.DataFrame:
    table = members.iloc[[doubt.row for doubt in doubts]].reset_index(drop=True)
    table["likely_label"] = [SEPARATOR.join(doubt.likely) for doubt in doubts]
    table["score"] = [doubt.score for doubt in doubts]
    return frame_of(table, DOUBTS)
