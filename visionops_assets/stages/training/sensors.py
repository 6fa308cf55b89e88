"""What starts training: a snapshot that no run was asked for yet."""

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import newest_snapshot

train_and_release = dg.define_asset_job(
    "train_and_release",
    selection=dg.AssetSelection.assets(
        "trained_model", "model_evaluation", "exported_model", "model_release"
    ),
    description="Trains on a snapshot; evaluates, exports and releases what passes the gate.",
)


@dg.sensor(
    job=train_and_release,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_snapshot(catalog: Catalog) -> dg.SensorResult:
    """Asks for one training run a snapshot, for the newest one.

    Level-triggered by the catalog; the run key makes asking again harmless.
    """
    with catalog.begin() as session:
        snapshot = newest_snapshot(session)
    if snapshot is None:
        return dg.SensorResult(skip_reason="There is no snapshot yet.")
    request = dg.RunRequest(
        run_key=f"train-{snapshot.snapshot_id}",
        run_config=dg.RunConfig(
            ops={"trained_model": {"config": {"snapshot_id": snapshot.snapshot_id}}}
        ),
        tags={"visionops/snapshot_id": snapshot.snapshot_id},
    )
    return dg.SensorResult(run_requests=[request])
