"""Says what waits: for a person, or for the machine. Each sentence says what to do."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from visionops_assets.catalog import labelling, media
from visionops_assets.catalog.alerts import firing_alerts
from visionops_assets.catalog.labelling import BatchProgress
from visionops_assets.contracts import MediaStatus


def read_what_waits(session: Session) -> list[str]:
    """Say what waits, the most urgent first."""
    alerts = sorted({alert.name for alert in firing_alerts(session)})
    open_batches = labelling.batches(session, only_open=True)
    return what_waits(alerts, media.count_by_status(session), open_batches)


def what_waits(
    alerts: Sequence[str],
    media_by_status: Mapping[MediaStatus, int],
    open_batches: Sequence[BatchProgress],
) -> list[str]:
    """Say of the names of firing alerts, of media and of labelling batches what is to be done."""
    said = []
    if alerts:
        said.append(f"Alerts that fire: {', '.join(alerts)}. The runbooks say what to do.")
    quarantined = media_by_status.get(MediaStatus.QUARANTINED, 0)
    if quarantined:
        said.append(f"Files in quarantine: {quarantined:,}. See `visionops quarantine ls`.")
    said += [
        f"Labelling batch {batch.batch_id} has {batch.labelled} of {batch.items} labels: "
        f"`visionops labelling-batches show {batch.batch_id} --out DIR`."
        for batch in open_batches
    ]
    under_way = sum(media_by_status.get(s, 0) for s in (MediaStatus.STORED, MediaStatus.QUEUED))
    if under_way:
        said.append(f"Files that wait for their frames: {under_way:,}. Nothing is to be done.")
    return said
