"""Cuts a dataset snapshot: members, their sides, and the manifest. No pixel is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.damage import announced_anew
from visionops_assets.catalog.datasets import add_snapshot, snapshots_newest_first
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.errors import SnapshotError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import shard_gone
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    TRAIN,
    snapshot_prefix,
    write_snapshot,
)
from visionops_assets.stages.datasets.members import (
    assign_splits,
    barred_from_holdout,
    classes_of,
    is_sound,
    only_whole,
    showing,
    sides_of,
    snapshot_id_of,
    stray_classes,
)
from visionops_assets.stages.datasets.noting import note_snapshots

READING_ORDER = ["shard_key", "shard_offset", "frame_id"]
"""Frames that lie together are read together."""


@dataclass(frozen=True)
class Cut:
    """A snapshot as it was cut: its row, its members, and what it leaves out.

    `before` is the id of the model's newest snapshot until then.
    """

    snapshot: Snapshot
    members: pd.DataFrame
    stray: list[str]
    gone: dict[str, str]
    before: str | None = None


@dataclass(frozen=True)
class Cutter:
    """Cuts snapshots of a model from its labels."""

    context: dg.AssetExecutionContext
    model: ModelDeclaration
    catalog: Catalog
    object_store: ObjectStore

    def cut(self, labels: pd.DataFrame) -> Cut:
        """Cut a snapshot, store its manifest, and note it in the catalog if it is sound.

        Raises:
            SnapshotError: there are no labels, or no frames of a class that was there before.
        """
        if labels.empty:
            raise SnapshotError("No frame has a label yet. Upload media with labels first.")
        model, split = self.model, self.model.snapshots
        labels = in_reading_order(labels, model.frames.size_px)
        with self.catalog.begin() as session:
            snapshots = snapshots_newest_first(session, model.name)
            made_again = {str(media_id) for media_id in announced_anew(session)}
        known = snapshots[0].classes if snapshots else []
        gone = gone_shards(labels, self.object_store.list_keys)
        if gone:
            have_made_again(self.context, self.catalog, gone)
            labels = only_whole(labels, ~labels["shard_key"].isin(gone), known, model.task)
        sides = sides_of(snapshots, self.object_store, made_again & set(labels["media_id"]))
        members, stray = self._members(labels, known, sides)
        left_out = len(labels) - len(members)
        snapshot = _row(model, members, labels["watermark"].iloc[0], left_out)
        write_snapshot(self.object_store, snapshot.snapshot_id, members)
        if is_sound(members, model.task, split.min_holdout_per_class):
            self._note(snapshot, members)
        before = snapshots[0].snapshot_id if snapshots else None
        return Cut(snapshot, members, stray, gone, before)

    def _members(
        self, labels: pd.DataFrame, known: list[str], sides: Mapping[str, str]
    ) -> tuple[pd.DataFrame, list[str]]:
        """Return the members, and the classes that are left out for too few frames."""
        task, split = self.model.task, self.model.snapshots
        members = assign_splits(labels, task, split.holdout_percent, sides, split.group_window_s)
        stray = stray_classes(members, task, known, split.min_holdout_per_class)
        if stray:
            self.context.log.warning("Left out for too few frames: %s", ", ".join(stray))
            labels = labels[~showing(labels, stray, task)].reset_index(drop=True)
            members = assign_splits(
                labels, task, split.holdout_percent, sides, split.group_window_s
            )
        is_barred = barred_from_holdout(labels, members)
        return members[~is_barred].reset_index(drop=True), stray

    def _note(self, snapshot: Snapshot, members: pd.DataFrame) -> None:
        with self.catalog.begin() as session:
            is_new = add_snapshot(session, snapshot)
        said = "is new" if is_new else "exists already"
        self.context.log.info("Snapshot %s %s", snapshot.snapshot_id, said)
        cut = {snapshot.snapshot_id: members}
        for problem in note_snapshots(self.catalog, self.object_store, self.model.name, cut):
            self.context.log.warning("Not noted for lineage: %s", problem)


def in_reading_order(labels: pd.DataFrame, size_px: int) -> pd.DataFrame:
    """Return labelled frames as members need them. A table of versions before lacks offsets."""
    complete = labels.assign(size_px=size_px)
    if "shard_offset" not in labels:
        complete["shard_offset"] = 0
    return complete.sort_values(READING_ORDER, ignore_index=True)


def gone_shards(labels: pd.DataFrame, listed: Callable[[str], list[str]]) -> dict[str, str]:
    """Say by key which shards of labelled frames the store does not have; it `lists` its keys.

    Their bytes are checked when they are read.
    """
    keys = set(labels["shard_key"])
    folders = {key.rsplit("/", 2)[0] for key in keys}
    there = {key for folder in sorted(folders) for key in listed(f"{folder}/")}
    return {key: str(shard_gone(key)) for key in sorted(keys - there)}


def have_made_again(
    context: dg.AssetExecutionContext, catalog: Catalog, damaged: Mapping[str, str]
) -> None:
    """Say which shards are damaged, raise the alarm, and announce their media once more."""
    for reason in damaged.values():
        context.log.error("Left out: %s", reason)
    media = FramePlaces(catalog).have_made_again(damaged)
    context.log.warning("%d media files are announced again to make their frames anew", media)


def _row(
    model: ModelDeclaration, members: pd.DataFrame, watermark: pd.Timestamp, left_out: int
) -> Snapshot:
    snapshot_id = snapshot_id_of(members, model.frames, model.name)
    counts = members["split"].value_counts()
    return Snapshot(
        snapshot_id=snapshot_id,
        model_name=model.name,
        watermark=watermark.to_pydatetime(),
        spec_id=model.frames.spec_id,
        spec=model.frames.model_dump(mode="json"),
        classes=classes_of(members, model.task),
        train_frames=int(counts.get(TRAIN, 0)),
        holdout_frames=int(counts.get(HOLDOUT, 0)),
        left_out_frames=left_out,
        object_prefix=snapshot_prefix(snapshot_id),
    )
