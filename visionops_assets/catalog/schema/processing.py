"""How media became frames: the specs, and what each came to with each file."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base
from visionops_assets.contracts import MediaStatus


class Spec(Base):
    """A preprocessing spec that some media were processed by."""

    __tablename__ = "spec"

    spec_id: Mapped[str] = mapped_column(primary_key=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(comment="A contracts.PreprocessingSpec.")
    first_used_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Processing(Base):
    """The last processing of a media file by one spec."""

    __tablename__ = "processing"

    media_id: Mapped[UUID] = mapped_column(ForeignKey("media.media_id"), primary_key=True)
    # No foreign key: of specs that were used before this table came, some are not known any more.
    spec_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    status: Mapped[MediaStatus] = mapped_column(comment="processed or quarantined.")
    reason_code: Mapped[str | None]
    reason_detail: Mapped[str | None]
    frames: Mapped[int]
    milliseconds: Mapped[float | None] = mapped_column(comment="Of decoding, fitting, encoding.")
    decoder: Mapped[str | None] = mapped_column(comment="Libraries and their versions.")
    width_px: Mapped[int | None] = mapped_column(
        comment="Of the upright picture; none of files processed by versions before."
    )
    height_px: Mapped[int | None]
    batch_key: Mapped[str] = mapped_column(ForeignKey("media_batch.batch_key"))
    processed_at: Mapped[datetime] = mapped_column(server_default=func.now())
