"""The members of a snapshot, their sides, and the id of the snapshot."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from visionops_assets.catalog.labels import TRAINS_ALONE
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import SnapshotError
from visionops_assets.resources.columns import frame_of
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    MEMBERS,
    TRAIN,
    labels_of,
    read_members,
)
from visionops_assets.tasks.registry import judging
from visionops_assets.vision.splits import group_media, hold_out

PACKAGED_MODEL = "classifier"
UNKNOWN_SIZE_PX = 0
"""Of frames whose pixels nobody reads."""
MIN_CLASSES = 2
"""With fewer classes there is nothing to learn."""


def assign_splits(
    labels: pd.DataFrame,
    task: str,
    holdout_percent: int,
    known: Mapping[str, str] = MappingProxyType({}),
    window_s: float = 0,
) -> pd.DataFrame:
    """Give each labelled frame its group, label index and side, in the order of the labels.

    `known` are the sides of media ids in the snapshot before: they stay. A group that grew together
    from both sides goes to training, since part of it was trained on, and so does one whose labels
    all train alone: `barred_from_holdout` says which frames neither side can take.
    """
    # Labels that a version before read have no times.
    groups = group_media(labels, window_s if "captured_at" in labels else 0)
    class_index = {name: index for index, name in enumerate(sorted(labels["label"].unique()))}
    members = labels.reset_index(drop=True)
    if "content_hash" not in members:  # Of labels that a version before read.
        members["content_hash"] = ""
    if "size_px" not in members:
        members["size_px"] = UNKNOWN_SIZE_PX
    members["group_id"] = members["media_id"].map(groups)
    members["label_index"] = members["label"].map(class_index)
    strata = judging(task).strata(labels_of(members, task))
    sides = _known_sides(groups, known)
    may_be_held = {*members.loc[~trains_alone(members), "group_id"], *sides}
    commonest = _commonest_of_groups(members["group_id"], strata)
    candidates = {group: stratum for group, stratum in commonest.items() if group in may_be_held}
    held = hold_out(candidates, sides, holdout_percent)
    members["split"] = [HOLDOUT if held.get(group) else TRAIN for group in members["group_id"]]
    return frame_of(members, MEMBERS)


def trains_alone(labels: pd.DataFrame) -> pd.Series:
    """Say which labelled frames (N) have a label that says nothing of how right a model is.

    Volunteers gave it to a prediction, or its frame was chosen to learn from.
    """
    if "origin" not in labels:
        return pd.Series(False, labels.index)
    return labels["origin"].isin(TRAINS_ALONE)


def barred_from_holdout(labels: pd.DataFrame, members: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say which labelled frames (N), in the order of their members, no side can take.

    Their labels train alone, so they may not judge; others of their group do, so they may not
    teach.
    """
    is_held = (members["split"] == HOLDOUT).to_numpy(np.bool_)
    return trains_alone(labels).to_numpy(np.bool_) & is_held


def _commonest_of_groups(groups: pd.Series, strata: Sequence[str]) -> dict[str, str]:
    """Return the commonest stratum of each group's frames."""
    frames = pd.DataFrame({"group_id": groups, "stratum": strata})
    counts = frames.groupby(["group_id", "stratum"]).size().reset_index(name="frames")
    counts = counts.sort_values(["frames", "stratum"], ascending=[False, True])
    commonest = counts.drop_duplicates("group_id")
    return dict(zip(commonest["group_id"], commonest["stratum"], strict=True))


def classes_of(members: pd.DataFrame, task: str) -> list[str]:
    """Return the classes that labelled frames show, in order."""
    return sorted({name for each in labels_of(members, task) for name in each})


def showing(members: pd.DataFrame, names: Collection[str], task: str) -> npt.NDArray[np.bool_]:
    """Say which labelled frames (N) show any of these classes."""
    shown = frozenset(names)
    return np.array([not shown.isdisjoint(each) for each in labels_of(members, task)], np.bool_)


def _known_sides(groups: Mapping[str, str], known: Mapping[str, str]) -> dict[str, bool]:
    """Say of each group with known media whether it is in the holdout."""
    held: dict[str, bool] = {}
    for media_id, group in groups.items():
        if media_id in known:
            held[group] = held.get(group, True) and known[media_id] == HOLDOUT
    return held


def only_whole(
    labels: pd.DataFrame, is_whole: pd.Series, known: Collection[str], task: str
) -> pd.DataFrame:
    """Return the labelled frames whose pixels are whole.

    Raises:
        SnapshotError: a class of a snapshot before has none. A model without it would be a step
            back, and its frames are about to be made again.
    """
    whole = labels[is_whole]
    lost = sorted(set(classes_of(labels, task)) & set(known) - set(classes_of(whole, task)))
    if lost or whole.empty:
        classes = f" of {', '.join(lost)}" if lost else ""
        raise SnapshotError(
            f"All frames{classes} lie in damaged shards. They are made again from the media first."
        )
    return whole


def sides_of(
    snapshots: Sequence[Snapshot], object_store: ObjectStore, made_again: Collection[str]
) -> dict[str, str]:
    """Return the side of each media id in the newest snapshot: none of them ever changes it.

    Snapshots may have been cut without media of damaged shards. So of media whose frames were
    `made_again` the side is looked for in earlier ones. `snapshots` begin with the newest.
    """
    sides: dict[str, str] = {}
    for snapshot in snapshots:
        members = read_members(object_store, snapshot.snapshot_id)
        sides = dict(zip(members["media_id"], members["split"], strict=True)) | sides
        if sides.keys() >= set(made_again):
            break
    return sides


def classes_to_learn(members: pd.DataFrame, task: str, min_holdout_per_class: int) -> list[str]:
    """Return the classes that can be trained on and judged."""
    short = classes_short_of_holdout(members, task, min_holdout_per_class)
    return sorted(set(classes_of(members, task)) - set(short))


def what_is_missing(
    members: pd.DataFrame, task: str, min_holdout_per_class: int, needed: int
) -> str | None:
    """Name the classes that lack labelled groups, if fewer than two can be learned; else None.

    `needed` is the number of groups per class with enough holdout frames, if each has one frame.
    """
    if len(classes_to_learn(members, task, min_holdout_per_class)) >= MIN_CLASSES:
        return None
    short = classes_short_of_holdout(members, task, min_holdout_per_class)
    shown = members.assign(name=pd.Series(labels_of(members, task), members.index)).explode("name")
    groups = shown.groupby("name")["group_id"].nunique()
    found = ", ".join(f"{name} has {groups[name]}" for name in short)
    advice = "" if len(groups) >= MIN_CLASSES else "; there is no second class yet"
    return (
        f"Too little is labelled to train on: {MIN_CLASSES} classes or more need about {needed} "
        f"groups each (videos, or images that are not copies){': ' if found else ''}"
        f"{found}{advice}."
    )


def snapshot_id_of(members: pd.DataFrame, spec: PreprocessingSpec, model_name: str) -> str:
    """Hash members, labels, split, spec and model: equal content has an equal id.

    The name of the packaged model is left out, so that snapshots keep the ids that they had before
    models were declared.
    """
    rows = members.sort_values("frame_id")[["frame_id", "group_id", "label", "split"]]
    model = "" if model_name == PACKAGED_MODEL else f"{model_name}\n"
    content = model + spec.spec_id + "\n" + rows.to_csv(index=False, lineterminator="\n")
    return "ds-" + hashlib.sha256(content.encode()).hexdigest()[:16]


def groups_on_both_sides(members: pd.DataFrame) -> list[str]:
    """Return the groups that are on both sides; a right split has none."""
    sides = members.groupby("group_id")["split"].nunique()
    return [str(group) for group in sides[sides > 1].index]


def classes_short_of_holdout(members: pd.DataFrame, task: str, minimum: int) -> dict[str, int]:
    """Count the holdout frames of classes that the members do not suffice for, by their task."""
    is_holdout = (members["split"] == HOLDOUT).to_numpy()
    return judging(task).check(labels_of(members, task), is_holdout, minimum)


def stray_classes(
    members: pd.DataFrame, task: str, known: Collection[str], min_holdout_per_class: int
) -> list[str]:
    """Return the classes too small to be judged and not `known`, if two or more others remain.

    One mistyped label makes such a class. A class that a model was trained on before is never
    stray: a snapshot without it would be a step back.
    """
    short = classes_short_of_holdout(members, task, min_holdout_per_class)
    stray = [name for name in short if name not in known]
    return stray if len(classes_of(members, task)) - len(stray) >= MIN_CLASSES else []


def is_sound(members: pd.DataFrame, task: str, min_holdout_per_class: int) -> bool:
    """Say whether a snapshot of these members may be trained on."""
    return not groups_on_both_sides(members) and not classes_short_of_holdout(
        members, task, min_holdout_per_class
    )
