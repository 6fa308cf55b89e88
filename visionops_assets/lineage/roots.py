"""Finds what a trace begins with, by the kind and the id that a person gives."""

from uuid import UUID

from sqlalchemy.orm import Session

from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Decision, Frame, Media, PredictionRow, Snapshot
from visionops_assets.catalog.traced_models import find_version
from visionops_assets.catalog.versions import newest_version
from visionops_assets.contracts.base import MAX_INTEGER
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.lineage.records import Kind

BY_UUID = {Kind.PREDICTION: PredictionRow, Kind.MEDIA: Media, Kind.FRAME: Frame}
HINTS = {
    Kind.PREDICTION: " A new one comes by the queue: try again in a minute.",
    Kind.DATASET: " They are listed by `visionops trace model NAME`.",
}


def find_root(session: Session, kind: Kind, text: str) -> object:
    """Return the row that an id names.

    Raises:
        InvalidRequestError: it is no id of this kind.
        NotFoundError: there is no such thing.
    """
    found = _found(session, kind, text)
    if found is None:
        raise NotFoundError(f"There is no {kind.value} {text!r}.{HINTS.get(kind, '')}")
    return found


def _found(session: Session, kind: Kind, text: str) -> object | None:
    match kind:
        case Kind.DATASET:
            return session.get(Snapshot, text)
        case Kind.MODEL:
            return _version(session, text)
        case Kind.DECISION:
            return session.get(Decision, _number(kind, text))
        case _:
            return session.get(BY_UUID[kind], _uuid(kind, text))


def _version(session: Session, text: str) -> object | None:
    """Find `NAME:VERSION`, or of a name alone the champion, or the newest version before one."""
    name, colon, number = text.rpartition(":")
    if colon:
        return find_version(session, name, _number(Kind.MODEL, number))
    current = champion(session, text)
    if current is not None:
        return find_version(session, text, current.model_version)
    return newest_version(session, text)


def _number(kind: Kind, text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_INTEGER))
    if not is_number or int(text) > MAX_INTEGER:
        form = "NAME or NAME:VERSION" if kind is Kind.MODEL else "a number"
        raise InvalidRequestError(f"{text!r} is no id of a {kind.value}: that is {form}.")
    return int(text)


def _uuid(kind: Kind, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequestError(f"{text!r} is no id of a {kind.value}: that is a UUID.") from None
