"""What makes a new snapshot worthwhile: enough newly labelled frames, no backlog before them."""

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import LabelBacklog, label_backlog
from visionops_assets.settings import Settings, current_spec, load_settings

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.assets("labels", "dataset_snapshot"),
    description="Reads the labels and cuts a dataset snapshot.",
)


def why_wait(backlog: LabelBacklog, settings: Settings) -> str | None:
    """Say why no snapshot is cut yet, or None when it is time."""
    if backlog.new_frames < settings.snapshot_min_new_labels:
        return (
            f"{backlog.new_frames} newly labelled frames, "
            f"{settings.snapshot_min_new_labels} make a snapshot."
        )
    if backlog.media_waiting and backlog.oldest_new_age_s < settings.snapshot_max_wait_s:
        return f"{backlog.media_waiting} media files are on their way to frames."
    return None


@dg.sensor(
    job=build_dataset,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_labels(catalog: Catalog) -> dg.SensorResult:
    """Asks for a snapshot when the catalog says that it is time.

    Level-triggered: it compares the catalog with the newest snapshot, so nothing is missed between
    ticks.
    """
    settings = load_settings()
    with catalog.begin() as session:
        backlog = label_backlog(session, current_spec(settings).spec_id)
    reason = why_wait(backlog, settings)
    if reason:
        return dg.SensorResult(skip_reason=reason)
    run_key = f"snapshot-{backlog.newest_label_id}-{backlog.new_frames}"
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)])
