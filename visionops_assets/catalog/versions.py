"""Versions of models as they were trained: by what runs, and on what snapshot."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import TrainedVersion
from visionops_assets.contracts import Candidate


def note_version(session: Session, candidate: Candidate, dagster_run_id: str) -> None:
    """Note a version that was registered. One that is known keeps the run that registered it."""
    statement = insert(TrainedVersion).values(
        **candidate.model_dump(), dagster_run_id=dagster_run_id
    )
    session.execute(statement.on_conflict_do_nothing())


def newest_version(session: Session, model_name: str) -> TrainedVersion | None:
    """Return the version of a model that was registered last, or None without any."""
    query = select(TrainedVersion).where(TrainedVersion.model_name == model_name)
    return session.scalar(query.order_by(TrainedVersion.model_version.desc()).limit(1))
