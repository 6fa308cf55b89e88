"""Objects that are to be erased: what an erasure that was killed goes on with."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from visionops_assets.catalog.schema.base import Base


class ErasedObject(Base):
    """An object of the store that holds something forgotten. The row goes once the object is gone.

    It is written with what makes the object useless, in one transaction.
    """

    __tablename__ = "erased_object"

    object_key: Mapped[str] = mapped_column(primary_key=True)
    noted_at: Mapped[datetime] = mapped_column(server_default=func.now())
