"""Cameras in the catalog: which streams are cut into media, and how."""

import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field, ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import Camera
from visionops_assets.contracts import TolerantRecord
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.redaction import masked
from visionops_assets.vision.capture.address import checked_address
from visionops_assets.vision.capture.messages import CutRules

# Part of the source of media, of metrics and of log lines.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
MAX_LABEL_CHARACTERS = 200


class CameraSettings(TolerantRecord):
    """How a camera's stream is cut, and the label of its media, if they all show the same."""

    rules: CutRules
    label: str | None = Field(None, min_length=1, max_length=MAX_LABEL_CHARACTERS)


@dataclass(frozen=True)
class CameraEntry:
    """One camera. Its address may hold a password: show `shown_address`."""

    name: str
    address: str
    settings: CameraSettings
    created_at: datetime

    @property
    def shown_address(self) -> str:
        """Return the address without its secrets."""
        return masked(self.address)

    def __repr__(self) -> str:
        """Name the camera, for logs."""
        return f"CameraEntry({self.name}, {self.shown_address})"


def add(session: Session, name: str, address: str, settings: CameraSettings) -> CameraEntry:
    """Register a camera.

    Raises:
        InvalidRequestError: the name is not plain or is taken, or the address cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            "The name of a camera is made of small letters, digits, - and _, 63 at most, and "
            "begins with a letter or digit."
        )
    if settings.label is not None and not settings.label.isprintable():
        raise InvalidRequestError("The label must not hold control characters.")
    row = {"name": name, "url": checked_address(address), "settings": settings.model_dump()}
    inserted = session.scalar(insert(Camera).values(row).on_conflict_do_nothing().returning(Camera))
    if inserted is None:
        raise InvalidRequestError(
            f"There is a camera {name} already. Remove it first: `visionops cameras rm {name}`."
        )
    return _entry(inserted)


def remove(session: Session, name: str) -> None:
    """Forget a camera. Its media stay.

    Raises:
        NotFoundError: no camera has this name.
    """
    row = session.get(Camera, name)
    if row is None:
        raise NotFoundError(f"There is no camera {name}. `visionops cameras ls` shows them.")
    session.delete(row)


def all_cameras(session: Session) -> list[CameraEntry]:
    """Return every camera, by name.

    Raises:
        InvalidRequestError: the settings of one were changed by hand and make no sense.
    """
    return [_entry(row) for row in session.scalars(select(Camera).order_by(Camera.name))]


def _entry(row: Camera) -> CameraEntry:
    try:
        settings = CameraSettings.model_validate(row.settings)
    except ValidationError:
        raise InvalidRequestError(
            f"The settings of camera {row.name} cannot be read. Remove it and add it again."
        ) from None
    return CameraEntry(row.name, row.url, settings, row.created_at)
