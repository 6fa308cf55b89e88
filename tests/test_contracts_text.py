"""Every door for text of clients checks it the same way, and says so in its API."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.services.http.test_api_pages import app_of
from visionops_assets.contracts.text import PlainText

TEXT = TypeAdapter[str](PlainText)
PATTERN: str = TEXT.json_schema()["pattern"]
CHARACTERS = st.characters(exclude_categories=["Cs"])


def text_of_clients(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each label and source that a service takes, with the place and what it may be."""
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            taken = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                described = schema["components"]["schemas"][name] if name else content["schema"]
                taken |= described.get("properties", {})
            yield from (
                (f"{path} {name}", taken[name]) for name in taken.keys() & {"label", "source"}
            )


@pytest.mark.parametrize(("service", "doors"), [("ingest", 4), ("gateway", 3)])
def test_every_label_and_source_is_checked(service: str, doors: int) -> None:
    """A door without the check would take two spellings of one word for two labels."""
    found = dict(text_of_clients(app_of(service).openapi()))
    assert len(found) >= doors
    for place, allowed in found.items():
        given_as = next(each for each in allowed.get("anyOf", [allowed]) if "type" in each)
        assert given_as["pattern"] == PATTERN, place


@given(st.text(CHARACTERS, min_size=1, max_size=200))
def test_the_api_says_what_is_accepted(text: str) -> None:
    """Its pattern is the check itself, but for what Unicode hides since the pattern was written."""
    try:
        accepted = TEXT.validate_python(text)
    except ValidationError:
        return
    assert re.search(PATTERN, accepted)


@pytest.mark.parametrize("value", [3, None, True, b"\xff", ["cat"]])
def test_what_is_no_text_is_refused_as_such(value: object) -> None:
    with pytest.raises(ValidationError, match=r"valid string|utf-8"):
        TEXT.validate_python(value)
