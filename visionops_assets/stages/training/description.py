"""Describes a training and its model version for readers of MLflow's pages."""

from visionops_assets.catalog.schema import Snapshot
from visionops_assets.settings import Settings

SOURCE_TAGS = {
    "mlflow.user": "dagster",
    "mlflow.source.name": "trained_model",
    "mlflow.source.type": "JOB",
}
"""Tags that MLflow shows as the maker and the source of a run."""
NOTE_TAG = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run."""


def run_name(model_name: str, snapshot: Snapshot, dagster_run_id: str) -> str:
    """Name an MLflow run by the model, the snapshot and the Dagster run."""
    return f"{model_name} {snapshot.snapshot_id} run {dagster_run_id[:8]}"


def origin_of(settings: Settings, snapshot: Snapshot, dagster_run_id: str) -> str:
    """Describe the training data and the Dagster run in Markdown, with links."""
    dagster = settings.dagster_url.rstrip("/")
    assets = f"{dagster}/assets/{snapshot.model_name}"
    spec = snapshot.spec
    return (
        f"Trained on [{snapshot.snapshot_id}]({assets}/dataset_snapshot): "
        f"{snapshot.train_frames:,} frames of {spec['size_px']} px in {len(snapshot.classes)} "
        f"classes ({_listed(snapshot.classes)}), {snapshot.holdout_frames:,} more in the "
        f"holdout. By [Dagster run {dagster_run_id[:8]}]({dagster}/runs/{dagster_run_id}) of the "
        f"asset [trained_model]({assets}/trained_model)."
    )


def dataset_of(
    settings: Settings, model_name: str, snapshot: Snapshot
) -> tuple[str, str, str, dict[str, int]]:
    """Return the snapshot as MLflow knows datasets: name, digest, address, counts."""
    return (
        f"{model_name} frames",
        snapshot.snapshot_id,
        f"s3://{settings.s3_bucket}/{snapshot.object_prefix}",
        {
            "train_frames": snapshot.train_frames,
            "holdout_frames": snapshot.holdout_frames,
            "classes": len(snapshot.classes),
        },
    )


def _listed(classes: list[str], shown: int = 10) -> str:
    more = len(classes) - shown
    return ", ".join(classes[:shown]) + (f" and {more} more" if more > 0 else "")
