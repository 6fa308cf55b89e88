"""The accuracy that a released version must keep: by a setting, or by the gate's measurement."""

from sqlalchemy.orm import Session

from visionops_assets.catalog.releases import newest_verdict
from visionops_assets.settings import Settings
from visionops_assets.vision.monitoring.limit import limit_of


def accuracy_limit(
    session: Session, model_name: str, model_version: int, settings: Settings
) -> float:
    """Return the accuracy below which a version must be replaced, 0..1 exclusive."""
    if settings.monitoring_min_accuracy is not None:
        return settings.monitoring_min_accuracy
    return limit_of(newest_verdict(session, model_name, model_version))
