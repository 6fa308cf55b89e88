"""The accuracy that a released version must keep: as declared, or by the gate's measurement."""

from sqlalchemy.orm import Session

from visionops_assets.catalog.releases import newest_verdict
from visionops_assets.vision.monitoring.limit import limit_of


def accuracy_limit(
    session: Session, model_name: str, model_version: int, min_accuracy: float | None
) -> float:
    """Return the accuracy below which a version must be replaced, 0..1 exclusive.

    `min_accuracy` is the one that is declared; without one it follows from the gate's measurement.
    """
    if min_accuracy is not None:
        return min_accuracy
    return limit_of(newest_verdict(session, model_name, model_version))
