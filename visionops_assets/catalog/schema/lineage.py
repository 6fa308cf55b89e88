"""Tables that exist to be traced by: members of snapshots, and versions that were trained."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, false, func, text
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base


class SnapshotMedia(Base):
    """A media file in the snapshots of a model, over a run of them in which nothing of it changed.

    Snapshots overlap nearly whole, so a row per member of each would be a million per snapshot. By
    runs there is one row per file, and one more per change. The manifest in the object store says
    the same, with targets.
    """

    __tablename__ = "snapshot_media"
    __table_args__ = (
        Index("ix_snapshot_media_media_id", "media_id"),
        Index(
            "uq_snapshot_media_open",
            *("model_name", "media_id"),
            unique=True,
            postgresql_where=text("to_place IS NULL"),
        ),
    )

    model_name: Mapped[str] = mapped_column(primary_key=True)
    from_place: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="A snapshot.place of the model."
    )
    # No foreign key: a million of them cost ten seconds, and a row tells of a file that is gone.
    media_id: Mapped[UUID] = mapped_column(primary_key=True)
    to_place: Mapped[int | None] = mapped_column(comment="Exclusive; none while it goes on.")
    spec_id: Mapped[str] = mapped_column(comment="Of the frames.")
    side: Mapped[str] = mapped_column(comment="train or holdout.")
    frames: Mapped[Any] = mapped_column(
        INT4MULTIRANGE, comment="Indexes of its frames that are members."
    )


class TrainedVersion(Base):
    """A version of a model, as it was registered: the snapshot it learned from, and by which runs.

    Rows of versions from before this table were made of verdicts and releases.
    """

    __tablename__ = "trained_version"

    model_name: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    snapshot_id: Mapped[str] = mapped_column(index=True)
    mlflow_run_id: Mapped[str | None] = mapped_column(comment="None of versions before the table.")
    dagster_run_id: Mapped[str | None] = mapped_column(comment="None of versions before the table.")
    registered_at: Mapped[datetime] = mapped_column(server_default=func.now())
    trained_on_forgotten: Mapped[bool] = mapped_column(
        server_default=false(), comment="Its snapshot had media that were erased since."
    )
