"""Whatever a document says, it is read, told row by row, or refused in words."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats.reading import FILES
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import BadRow, Entry, Reading
from visionops_assets.formats.registry import format_named

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that a document holds."""
    found = [at]
    if not isinstance(value, dict | list):
        return found
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        found += places(each, (*at, key))
    return found


@pytest.mark.parametrize("name", ["coco", "label-studio"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_document_with_anything_anywhere_is_never_a_fault_of_ours(
    name: str, data: st.DataObject
) -> None:
    document = json.loads((FILES / f"{name.replace('-', '_')}.json").read_text())
    changed = {"": document}
    path = ("", *data.draw(st.sampled_from(places(document))))
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(ANYTHING)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "document.json"
        file.write_text(json.dumps(changed[""]))
        with suppress(InvalidRequestError):
            for row in format_named(name).read(file, Reading()):
                assert isinstance(row, Entry | BadRow)
