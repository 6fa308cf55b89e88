"""The time and the file name of an upload, validated. What does not fit is a clear 422."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from visionops_assets.services.text import is_control

MAX_FILENAME_CHARACTERS = 255
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


UtcTime = Annotated[datetime, AfterValidator(_in_utc)]


def display_name(filename: str | None) -> str | None:
    """Make a client's file name fit to be shown. It is never used as a path."""
    if not filename:
        return None
    shown = filename[:MAX_FILENAME_CHARACTERS]
    return "".join(REPLACEMENT if is_control(c) else c for c in shown)
