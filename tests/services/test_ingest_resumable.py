import base64
from datetime import datetime

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.errors import InvalidRequestError
from visionops_assets.services.ingest.fields import UploadQuery, display_name
from visionops_assets.services.ingest.resumable_routes import fields_of


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_metadata_says_what_a_query_says(filename: str, with_spaces: bool) -> None:
    comma = " , " if with_spaces else ","
    pairs = [f"filename {encoded(filename)}", f"source {encoded('gate 7')}", "filetype eA=="]
    fields = fields_of(comma.join(pairs))
    assert fields == UploadQuery(filename=filename, source="gate 7")
    assert fields.filename == display_name(filename)


def test_nothing_said_is_what_nobody_said() -> None:
    for metadata in ("", ",", "is_confidential", "filetype"):
        assert fields_of(metadata).model_dump(exclude_unset=True) == {}


def test_times_are_read() -> None:
    fields = fields_of(f"captured_at {encoded('2026-03-01T12:00:00+02:00')}")
    assert fields.captured_at == datetime.fromisoformat("2026-03-01T10:00:00+00:00")


@pytest.mark.parametrize("value", ["a", "a$b=", "кот", "/w==", "Y2F0 Y2F0"])
def test_a_value_that_is_no_base64_of_text_is_named(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="Upload-Metadata: label"):
        fields_of(f"label {value}")


@pytest.mark.parametrize("value", ["", "a\0b", "a" * 1_000])
def test_a_value_that_cannot_be_used_is_refused(value: str) -> None:
    with pytest.raises(RequestValidationError):
        fields_of(f"label {encoded(value)}")


@given(st.text())
def test_any_metadata_is_read_or_refused(metadata: str) -> None:
    try:
        fields_of(metadata)
    except (InvalidRequestError, RequestValidationError):
        return
