"""`dataset_snapshot`: an immutable training set and holdout, split by group."""

from collections import Counter
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.damage import announced_anew, make_again
from visionops_assets.catalog.datasets import add_snapshot, snapshots_newest_first
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.errors import SnapshotError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    MEMBERS,
    TRAIN,
    SnapshotFiles,
    snapshot_prefix,
    write_snapshot,
)
from visionops_assets.settings import load_settings
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.datasets.members import (
    assign_splits,
    barred_from_holdout,
    classes_of,
    classes_short_of_holdout,
    groups_on_both_sides,
    is_sound,
    only_whole,
    showing,
    sides_of,
    snapshot_id_of,
    stray_classes,
)
from visionops_assets.stages.datasets.noting import note_snapshots
from visionops_assets.stages.datasets.pixels import read_pixels
from visionops_assets.stages.of_model import input_of, key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import bars, picture, table, trace_command
from visionops_assets.vision.plots import montage
from visionops_assets.vision.selection import Images, select

SAMPLE_FRAMES = 40


@dataclass(frozen=True)
class _Cut:
    """A snapshot as it was cut: its row, its frames, and what it leaves out."""

    snapshot: Snapshot
    files: SnapshotFiles
    stray: list[str]
    damaged: dict[str, str]


def snapshot_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the dataset snapshots of a model."""
    split = model.snapshots

    @dg.asset(
        key=key_of(model, "dataset_snapshot"),
        ins=input_of(model, "labels"),
        group_name="data",
        # A decision to retrain asks for a snapshot. This arrow loads nothing.
        deps=[key_of(model, "retrain_decision")],
        io_manager_key="tables",
        metadata=shown(MEMBERS),
        code_version=code_version(
            "datasets", model.frames, split.holdout_percent, split.min_holdout_per_class
        ),
        kinds={"numpy", "parquet", "s3"},
        owners=OWNERS,
    )
    @fail_in_words
    def dataset_snapshot(
        context: dg.AssetExecutionContext,
        labels: pd.DataFrame,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Frozen dataset, split by group into a training side and a holdout; one row per frame.

        It lies under `snapshots/<id>/`: `images.npy` (uint8, N x S x S x 3), its members, row i for
        image i, and the checksums of both. The id is a hash over members, labels, spec, split and
        model, so equal content is one snapshot. New classes with too few frames to be judged are
        left out until there are more, and frames of damaged shards until they are made again. Only
        a snapshot that passes its checks enters the catalog and is trained on.
        """
        return _result(_cut(context, model, labels, catalog, object_store))

    return dataset_snapshot


def _cut(
    context: dg.AssetExecutionContext,
    model: ModelDeclaration,
    labels: pd.DataFrame,
    catalog: Catalog,
    object_store: ObjectStore,
) -> _Cut:
    split = model.snapshots
    if labels.empty:
        raise SnapshotError("No frame has a label yet. Upload media with labels first.")
    labels = labels.sort_values("frame_id", ignore_index=True)
    pixels, damaged = read_pixels(labels, object_store, model.frames.size_px)
    images: Images = pixels
    with catalog.begin() as session:
        snapshots = snapshots_newest_first(session, model.name)
        made_again = {str(media_id) for media_id in announced_anew(session)}
    known = snapshots[0].classes if snapshots else []
    if damaged:
        _have_made_again(context, catalog, damaged)
        is_whole = ~labels["shard_key"].isin(damaged)
        labels = only_whole(labels, is_whole, known, model.task)
        images = select(images, is_whole.to_numpy())
    sides = sides_of(snapshots, object_store, made_again & set(labels["media_id"]))
    members = assign_splits(labels, model.task, split.holdout_percent, sides)
    stray = stray_classes(members, model.task, known, split.min_holdout_per_class)
    labelled_frames = len(labels)
    if stray:
        context.log.warning("Left out for too few frames: %s", ", ".join(stray))
        is_kept = ~showing(labels, stray, model.task)
        labels, images = labels[is_kept], select(images, is_kept)
        members = assign_splits(labels, model.task, split.holdout_percent, sides)
    is_barred = barred_from_holdout(labels, members)
    if is_barred.any():
        labels, images = labels[~is_barred], select(images, ~is_barred)
        members = members[~is_barred].reset_index(drop=True)
    files = SnapshotFiles(images, members)
    snapshot = _row(model, members, labels["watermark"].iloc[0], labelled_frames - len(labels))
    write_snapshot(object_store, snapshot.snapshot_id, files)
    if is_sound(members, model.task, split.min_holdout_per_class):
        with catalog.begin() as session:
            is_new = add_snapshot(session, snapshot)
        said = "is new" if is_new else "exists already"
        context.log.info("Snapshot %s %s", snapshot.snapshot_id, said)
        cut = {snapshot.snapshot_id: members}
        for problem in note_snapshots(catalog, object_store, model.name, cut):
            context.log.warning("Not noted for lineage: %s", problem)
    return _Cut(snapshot, files, stray, damaged)


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


def _result(cut: _Cut) -> dg.MaterializeResult[pd.DataFrame]:
    snapshot, images, members = cut.snapshot, cut.files.images, cut.files.members
    return dg.MaterializeResult(
        value=members,
        metadata={
            "snapshot_id": snapshot.snapshot_id,
            "trace": trace_command("dataset", snapshot.snapshot_id),
            "train_frames": snapshot.train_frames,
            "holdout_frames": snapshot.holdout_frames,
            "classes_left_out": ", ".join(cut.stray) or "none",
            "damaged_shards": len(cut.damaged),
            "groups": int(members["group_id"].nunique()),
            "megabytes": len(images) * images[0].nbytes / 1e6,
            "class_counts": bars(
                dict(sorted(Counter(members["label"]).items())), "class", "frames"
            ),
            "sample": picture(
                montage(list(images[:SAMPLE_FRAMES]), list(members["label"][:SAMPLE_FRAMES])),
                "sample",
            ),
            "first_rows": table(members, max_rows=5),
        },
        data_version=dg.DataVersion(snapshot.snapshot_id),
    )


def checks_of(
    model: ModelDeclaration, snapshot: dg.AssetsDefinition
) -> list[dg.AssetChecksDefinition]:
    """Define the checks of a model's snapshots."""
    minimum = model.snapshots.min_holdout_per_class

    @dg.asset_check(asset=snapshot, blocking=True)
    def no_group_on_both_sides(dataset_snapshot: pd.DataFrame) -> dg.AssetCheckResult:
        """No video, camera clip or near duplicate is in training and in holdout."""
        leaking = groups_on_both_sides(dataset_snapshot)
        return dg.AssetCheckResult(
            passed=not leaking,
            description=(
                f"{len(leaking)} group(s) are on both sides. That is a fault of VisionOps: nothing "
                "is trained on this snapshot. Please report it, with the groups of this check."
                if leaking
                else "Each group is on one side."
            ),
            metadata={"groups": dg.MetadataValue.json(leaking[:20])},
        )

    @dg.asset_check(asset=snapshot)
    def every_class_is_held_out(dataset_snapshot: pd.DataFrame) -> dg.AssetCheckResult:
        """Say whether each class has training frames, and enough holdout frames to be judged.

        Too few labels are not a fault, so a failed check does not stop the run. Such a snapshot
        does not enter the catalog, so nothing is trained on it, and it is cut again when more
        labels have come.
        """
        short = classes_short_of_holdout(dataset_snapshot, model.task, minimum)
        return dg.AssetCheckResult(
            passed=not short,
            description=_described(short, minimum),
            metadata={"minimum": minimum, "holdout_of_short_classes": dg.MetadataValue.json(short)},
        )

    return [no_group_on_both_sides, every_class_is_held_out]


def _described(short: dict[str, int], minimum: int) -> str:
    if not short:
        return f"Each class has training frames, and at least {minimum} in the holdout."
    found = ", ".join(f"{name} ({count})" for name, count in short.items())
    return (
        f"Each class needs training frames, and at least {minimum} in the holdout. Add labelled "
        f"media of these, whose holdout frames are counted: {found}."
    )


def _have_made_again(
    context: dg.AssetExecutionContext, catalog: Catalog, damaged: dict[str, str]
) -> None:
    """Say which shards are damaged, raise the alarm, and announce their media once more."""
    for reason in damaged.values():
        context.log.error("Left out: %s", reason)
    with catalog.begin() as session:
        media = make_again(session, load_settings().kafka_media_topic, damaged)
    context.log.warning("%d media files are announced again to make their frames anew", media)
