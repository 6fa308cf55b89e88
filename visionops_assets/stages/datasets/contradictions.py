"""The check that tells contradicting labels of a snapshot."""

import dagster as dg
import pandas as pd

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.presentation import table

ROWS_SHOWN = 200


def contradictions_check_of(
    model: ModelDeclaration, snapshot: dg.AssetsDefinition
) -> dg.AssetChecksDefinition:
    """Define the check of a model's snapshots for contradicting labels."""

    @dg.asset_check(
        asset=snapshot,
        additional_ins={"labels": dg.AssetIn(key_of(model, "labels"))},
        name="labels_contradict_nowhere",
    )
    def labels_contradict_nowhere(
        dataset_snapshot: pd.DataFrame, labels: pd.DataFrame
    ) -> dg.AssetCheckResult:
        """Say where labels of one content contradict each other, and which one was taken.

        A failed check stops nothing: the most trusted label counts, and of equally trusted ones the
        newest, for all frames of one content. Correct or take back the others.
        """
        found = contradicted(dataset_snapshot, labels)
        frames = int(found["frames"].sum())
        return dg.AssetCheckResult(
            passed=found.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=(
                "Labels of equal content agree."
                if found.empty
                else f"Labels of {frames} frame(s) contradict each other, in {len(found)} file(s). "
                f"See `visionops labels conflicts --model {model.name}`."
            ),
            metadata={"contradictions": table(found, max_rows=ROWS_SHOWN), "frames": frames},
        )

    return labels_contradict_nowhere


def contradicted(members: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the contradicted labels of a snapshot's frames, one row per file and contradiction.

    Columns: `media_id`, `label` (the one that counts), `contradicted_by`, `frames`.
    """
    by = ["media_id", "label", "contradicted_by"]
    if "contradicted_by" not in labels:  # A table of a version before.
        return pd.DataFrame(columns=[*by, "frames"])
    is_found = (labels["contradicted_by"] != "") & labels["frame_id"].isin(members["frame_id"])
    return labels[is_found].groupby(by).size().reset_index(name="frames")
