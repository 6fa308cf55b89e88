from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from visionops_assets.services.ingest.fields import (
    MAX_FILENAME_CHARACTERS,
    UtcTime,
    display_name,
)
from visionops_assets.services.text import MAX_TEXT_CHARACTERS, PlainText

TEXT = TypeAdapter[str](PlainText)
TIME = TypeAdapter[datetime](UtcTime)


@given(st.text())
def test_accepted_text_can_be_stored(text: str) -> None:
    try:
        accepted = TEXT.validate_python(text)
    except ValidationError:
        return
    assert accepted == text.strip()
    assert "\0" not in accepted
    accepted.encode()


@pytest.mark.parametrize("text", ["cat", "кот", "猫 2", "a\N{NO-BREAK SPACE}b", "👩‍🔬"])
def test_labels_of_any_script_are_accepted(text: str) -> None:
    assert TEXT.validate_python(f" {text} ") == text


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "\x1b[31m", " ", "a" * (MAX_TEXT_CHARACTERS + 1)])
def test_text_that_cannot_be_shown_or_stored_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_times_become_utc(text: str, expected: datetime) -> None:
    time = TIME.validate_python(text)
    assert time == expected
    assert time.tzinfo is UTC


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+02:00"])
def test_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TIME.validate_python(text)


@given(st.text(max_size=2 * MAX_FILENAME_CHARACTERS))
def test_any_file_name_can_be_shown(filename: str) -> None:
    shown = display_name(filename) or ""
    assert len(shown) == min(len(filename), MAX_FILENAME_CHARACTERS)
    assert not any(ord(c) < 32 for c in shown)
    shown.encode()


def test_a_hostile_file_name_is_kept_as_text() -> None:
    assert display_name("../../etc/passwd\0.png") == "../../etc/passwd\ufffd.png"
    assert display_name(None) is None
