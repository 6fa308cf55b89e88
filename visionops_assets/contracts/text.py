"""Text of clients that is stored and shown: every service validates it the same way."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

MAX_TEXT_CHARACTERS = 200

# Categories of unseen characters: controls, formats (such as zero width, and turns of the text's
# direction), halves of surrogate pairs, line separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Unicode has these for marks and letters, but shows nothing: joiners, fillers, variation selectors.
_UNSEEN = frozenset(
    chr(code)
    for codes in (
        (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        range(0x180B, 0x1810),
        range(0xFE00, 0xFE10),
        range(0xE0100, 0xE01F0),
    )
    for code in codes
)

# For OpenAPI: the validation below, as far as a pattern can say it.
_HIDDEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f\U000e0100-\U000e01ef"
)
_PATTERN = rf"^[^{_HIDDEN}]*[^\s{_HIDDEN}][^{_HIDDEN}]*$"


def is_unseen(character: str) -> bool:
    """Say whether a character is not seen, so that two texts that look alike could differ."""
    return unicodedata.category(character) in _UNSEEN_CATEGORIES or character in _UNSEEN


def composed(text: str) -> str:
    """Return text in Unicode's normal form C: an accent is one character with its letter."""
    return unicodedata.normalize("NFC", text)


def _composed_if_text(value: object) -> object:
    return composed(value) if isinstance(value, str) else value


def _without_unseen_characters(text: str) -> str:
    # PostgreSQL stores no NUL. The others can forge labels, and lines of logs.
    if any(map(is_unseen, text)):
        raise ValueError("must not contain NUL, control or zero-width characters")
    return text


PlainText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARACTERS),
    BeforeValidator(_composed_if_text),
    AfterValidator(_without_unseen_characters),
    Field(json_schema_extra={"pattern": _PATTERN}),
]
