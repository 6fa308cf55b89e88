"""The text and time fields of an upload form, validated. What does not fit is a clear 422."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_TEXT_CHARACTERS = 200
MAX_FILENAME_CHARACTERS = 255
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"}


def _without_control_characters(text: str) -> str:
    # PostgreSQL stores no NUL, and the others only serve to forge lines of logs and terminals.
    if any(map(_is_control, text)):
        raise ValueError("must not contain NUL or other control characters")
    return text


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


PlainText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARACTERS),
    AfterValidator(_without_control_characters),
]
UtcTime = Annotated[datetime, AfterValidator(_in_utc)]


def display_name(filename: str | None) -> str | None:
    """Make a client's file name fit to be shown. It is never used as a path."""
    if not filename:
        return None
    shown = filename[:MAX_FILENAME_CHARACTERS]
    return "".join(REPLACEMENT if _is_control(c) else c for c in shown)
