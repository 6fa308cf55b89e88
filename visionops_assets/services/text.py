"""Text that clients send and that is stored and shown: validated alike in every service."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

MAX_TEXT_CHARACTERS = 200

# For OpenAPI: what the validation below accepts, as far as a pattern can say it.
_PRINTABLE = r"[^\x00-\x1f\x7f-\x9f]"
_PATTERN = rf"^{_PRINTABLE}*[^\s\x00-\x1f\x7f-\x9f]{_PRINTABLE}*$"


def is_control(character: str) -> bool:
    """Say whether it is a control character or half of a surrogate pair."""
    return unicodedata.category(character) in {"Cc", "Cs"}


def _without_control_characters(text: str) -> str:
    # PostgreSQL stores no NUL, and the others only serve to forge lines of logs and terminals.
    if any(map(is_control, text)):
        raise ValueError("must not contain NUL or other control characters")
    return text


PlainText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARACTERS),
    AfterValidator(_without_control_characters),
    Field(json_schema_extra={"pattern": _PATTERN}),
]
