"""Payloads of annotations and answers as one text. Their tasks alone read more in them."""

from collections.abc import Mapping
from typing import Any, overload

SEPARATOR = ", "
"""Stands between several labels in one text."""


@overload
def text_of(payload: Mapping[str, Any]) -> str: ...
@overload
def text_of(payload: Mapping[str, Any] | None) -> str | None: ...
def text_of(payload: Mapping[str, Any] | None) -> str | None:
    """Return the labels of a payload as one text, as tables and answers show it; None without."""
    if payload is None:
        return None
    if "labels" in payload:
        return SEPARATOR.join(payload["labels"])
    return str(payload.get("label", ""))
