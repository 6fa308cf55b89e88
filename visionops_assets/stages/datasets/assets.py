"""`dataset_snapshot`: an immutable training set and holdout, split by group."""

from collections import Counter
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.errors import DamagedArtifactError, NoRoomError, NotFoundError, SnapshotError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import shown
from visionops_assets.resources.frame_reading import DamagedFramesError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.snapshot_diff import KINDS, compare
from visionops_assets.resources.snapshot_files import MEMBERS, read_members
from visionops_assets.resources.snapshot_reading import with_pixels
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.datasets.cutting import Cut, Cutter, have_made_again
from visionops_assets.stages.datasets.members import (
    classes_short_of_holdout,
    groups_on_both_sides,
)
from visionops_assets.stages.of_model import input_of, key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import bars, picture, table, trace_command
from visionops_assets.vision.plots import montage

SAMPLE_FRAMES = 40


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
            "datasets",
            model.frames,
            *(split.holdout_percent, split.min_holdout_per_class, split.group_window_s),
        ),
        kinds={"parquet", "s3"},
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

        It is a manifest, `snapshots/<id>/members.parquet`, beside its checksum: pixels stay in the
        shards, and are read from there. The id is a hash over members, labels, spec, split and
        model, so equal content is one snapshot. New classes with too few frames to be judged are
        left out until there are more, and frames of shards that are gone until they are made again.
        Only a snapshot that passes its checks enters the catalog and is trained on.
        """
        cut = Cutter(context, model, catalog, object_store).cut(labels)
        return _result(context, cut, catalog, object_store)

    return dataset_snapshot


def _result(
    context: dg.AssetExecutionContext, cut: Cut, catalog: Catalog, object_store: ObjectStore
) -> dg.MaterializeResult[pd.DataFrame]:
    snapshot, members = cut.snapshot, cut.members
    return dg.MaterializeResult(
        value=members,
        metadata={
            "snapshot_id": snapshot.snapshot_id,
            "trace": trace_command("dataset", snapshot.snapshot_id),
            "train_frames": snapshot.train_frames,
            "holdout_frames": snapshot.holdout_frames,
            "classes_left_out": ", ".join(cut.stray) or "none",
            "damaged_shards": len(cut.gone),
            "groups": int(members["group_id"].nunique()),
            "class_counts": bars(
                dict(sorted(Counter(members["label"]).items())), "class", "frames"
            ),
            **_changes(context, cut, object_store),
            **_sample(context, cut, catalog, object_store),
            "first_rows": table(members, max_rows=5),
        },
        data_version=dg.DataVersion(snapshot.snapshot_id),
    )


def _changes(
    context: dg.AssetExecutionContext, cut: Cut, object_store: ObjectStore
) -> dict[str, Any]:
    """Count what came, went and changed since the snapshot before, as far as that can be read."""
    if cut.before in {None, cut.snapshot.snapshot_id}:
        return {}
    try:
        earlier = read_members(object_store, str(cut.before))
    except (NotFoundError, DamagedArtifactError) as error:
        context.log.warning("Not compared with the snapshot before: %s", error)
        return {}
    counts = compare(earlier, cut.members).counts
    command = f"visionops datasets diff {cut.before} {cut.snapshot.snapshot_id}"
    changed = {f"frames_{kind}": counts[kind] for kind in KINDS}
    return {**changed, "changes": dg.MetadataValue.json(counts), "compare": command}


def _sample(
    context: dg.AssetExecutionContext, cut: Cut, catalog: Catalog, object_store: ObjectStore
) -> dict[str, Any]:
    """Draw some members, unless they turn out to be damaged: then they are made again."""
    every = max(1, len(cut.members) // SAMPLE_FRAMES)
    chosen = cut.members.iloc[::every][:SAMPLE_FRAMES]
    snapshot_id = cut.snapshot.snapshot_id
    try:
        sample = with_pixels(object_store, snapshot_id, chosen, FramePlaces(catalog))
        drawn = montage(list(sample.images[:]), list(sample.members["label"]))
    except DamagedFramesError as error:
        have_made_again(context, catalog, error.damaged)
        return {}
    except (SnapshotError, NoRoomError) as error:  # The snapshot is cut: it lacks a picture alone.
        context.log.warning("Nothing is drawn: %s", error)
        return {}
    return {"sample": picture(drawn, "sample")}


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
