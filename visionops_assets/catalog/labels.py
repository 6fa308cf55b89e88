"""Queries on labels: what someone said a media file or a prediction shows."""

from uuid import UUID

from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Label


def add_prediction_label(session: Session, prediction_id: UUID, label: str, origin: str) -> Label:
    """Add what someone said about a prediction, which may still be on its way to the catalog."""
    row = Label(prediction_id=prediction_id, label=label, origin=origin)
    session.add(row)
    session.flush()
    return row
