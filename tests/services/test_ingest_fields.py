import unicodedata
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from visionops_assets.contracts import Scope
from visionops_assets.contracts.text import MAX_TEXT_CHARACTERS, PlainText, is_unseen
from visionops_assets.errors import InvalidRequestError
from visionops_assets.services.http.access import Principal
from visionops_assets.services.ingest.fields import (
    MAX_FILENAME_CHARACTERS,
    MediaFields,
    UploadQuery,
    UtcTime,
    contradicts,
    display_name,
)

TEXT = TypeAdapter[str](PlainText)
TIME = TypeAdapter[datetime](UtcTime)


@given(st.text())
def test_accepted_text_can_be_stored(text: str) -> None:
    try:
        accepted = TEXT.validate_python(text)
    except ValidationError:
        return
    assert accepted == unicodedata.normalize("NFC", text.strip())
    assert unicodedata.is_normalized("NFC", accepted)
    assert "\0" not in accepted
    accepted.encode()


@pytest.mark.parametrize("text", ["cat", "кот", "猫 2", "a\N{NO-BREAK SPACE}b", "👩"])
def test_labels_of_any_script_are_accepted(text: str) -> None:
    assert TEXT.validate_python(f" {text} ") == text


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "\x1b[31m", " ", "a" * (MAX_TEXT_CHARACTERS + 1)])
def test_text_that_cannot_be_shown_or_stored_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)


@pytest.mark.parametrize("code", [0x200B, 0x200D, 0xFEFF, 0x202E, 0xAD, 0xFE0F, 0x3164, 0xE0041])
def test_characters_that_are_not_seen_are_refused(code: int) -> None:
    for text in (f"ca{chr(code)}t", f"{chr(code)}cat", f"cat{chr(code)}"):
        with pytest.raises(ValidationError):
            TEXT.validate_python(text)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164),
     (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)],
)  # fmt: skip
def test_marks_and_letters_that_show_nothing_are_unseen_and_their_neighbours_are_not(
    first: int, last: int
) -> None:
    assert all(is_unseen(chr(code)) for code in range(first, last + 1))
    for beside in (first - 1, last + 1):
        assert not is_unseen(chr(beside)) or unicodedata.category(chr(beside)) == "Cf"


@pytest.mark.parametrize(("characters", "is_accepted"), [(200, True), (201, False)])
def test_a_text_has_200_characters_at_most(characters: int, is_accepted: bool) -> None:
    text = "a" * characters
    if is_accepted:
        assert TEXT.validate_python(text) == text
    else:
        with pytest.raises(ValidationError, match="at most 200"):
            TEXT.validate_python(text)


def test_an_accent_is_one_character_with_its_letter() -> None:
    assert TEXT.validate_python("cafe\u0301") == TEXT.validate_python("caf\u00e9") == "caf\u00e9"
    assert display_name("cafe\u0301.png") == "caf\u00e9.png"


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
    assert len(shown) <= MAX_FILENAME_CHARACTERS
    assert not any(ord(c) < 32 for c in shown)
    shown.encode()


def test_a_hostile_file_name_is_kept_as_text() -> None:
    assert display_name("../../etc/passwd\0.png") == "../../etc/passwd\ufffd.png"
    assert display_name(None) is None


@given(st.text(max_size=2 * MAX_FILENAME_CHARACTERS))
def test_a_file_name_of_a_query_can_be_kept(filename: str) -> None:
    kept = UploadQuery(filename=filename).filename
    assert kept == display_name(filename)
    assert "\0" not in (kept or "")


@pytest.mark.parametrize(
    ("filename", "content_type", "expected"),
    [
        ("a.png", "image/png", False),
        ("a.PNG", "image/png", False),
        ("a.jpg", "image/png", True),
        ("a.jpg", "image/jpeg", False),
        ("a.jpeg", "image/jpeg", False),
        ("a.tif", "image/tiff", False),
        ("a.bmp", "image/bmp", False),
        ("a.gif", "image/webp", True),
        ("a.webp", "image/webp", False),
        ("a.webp", "image/png", True),
        ("a.heic", "image/jpeg", True),
        ("a.HEIC", "image/heic", False),
        ("a.heif", "image/heic", False),
        ("a.avif", "image/avif", False),
        ("a.avif", "image/heic", True),
        ("a.j2k", "image/jp2", False),
        ("a.pgm", "image/x-portable-anymap", False),
        ("a.tga", "image/x-tga", False),
        ("a.mp4", "image/png", True),
        ("a.mp4", "video/quicktime", False),
        ("a.mov", "video/mp4", False),
        ("a.m4v", "video/mp4", False),
        ("a.3gp", "video/3gpp", False),
        ("a.avi", "video/x-msvideo", False),
        ("a.avi", "video/mp4", True),
        ("a.webm", "video/x-matroska", False),
        ("a.mkv", "video/webm", False),
        ("a.mkv", "video/mp4", True),
        ("a.ts", "video/mp2t", False),
        ("a.ts", "video/mp4", True),
        ("a.m2ts", "video/mp2t", False),
        ("a.mpg", "video/mpeg", False),
        ("a.vob", "video/mpeg", False),
        ("a.mpg", "video/mp2t", True),
        ("a.wmv", "video/x-ms-asf", False),
        ("a.flv", "video/x-flv", False),
        ("a.ogv", "video/ogg", False),
        ("a.mxf", "application/mxf", False),
        ("a.wmv", "video/mp4", True),
        ("a.txt", "image/png", True),
        ("a.exe", "image/png", True),
        ("a.png.unknown-ending", "image/jpeg", False),
        ("png", "image/jpeg", False),
        (".png", "image/jpeg", False),
        ("", "image/jpeg", False),
        (None, "image/jpeg", False),
        ("../../a.jpg", "image/png", True),
        ("a.jpg\0.png", "image/png", False),
        ("data:image/jpeg,a", "image/png", False),
    ],
)
def test_a_name_contradicts_by_its_ending(
    filename: str | None, content_type: str, expected: bool
) -> None:
    assert contradicts(filename, content_type) is expected


@given(st.text())
def test_any_name_is_compared(filename: str) -> None:
    contradicts(filename, "image/png")


def test_fields_of_a_form_replace_those_of_the_query() -> None:
    query = MediaFields(source="gate", label="cat")
    assert query.updated({"label": "dog"}) == MediaFields(source="gate", label="dog")
    assert query.updated({}) == query


@pytest.mark.parametrize("fields", [{"labels": "cat"}, {"": "x"}, {"label": ""}, {"label": "a\0"}])
def test_a_field_that_cannot_be_used_is_named(fields: dict[str, str]) -> None:
    with pytest.raises(RequestValidationError) as raised:
        MediaFields().updated(fields)
    assert raised.value.errors()[0]["loc"] == ("body", *fields)


def test_facts_about_a_file_replace_those_of_all() -> None:
    all_files = MediaFields(source="gate", label="cat")
    said = '{"label": "dog", "filename": "a.png", "captured_at": "2026-03-01T12:00:00+02:00"}'
    assert all_files.about(said) == UploadQuery(
        source="gate",
        label="dog",
        filename="a.png",
        captured_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    )
    assert all_files.about("{}") == UploadQuery(source="gate", label="cat")
    assert all_files.about('{"label": null}') == UploadQuery(source="gate")
    assert all_files.about('{"source": "door"}').source == "door"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("", "about: Invalid JSON"),
        ("[]", "about: "),
        ('"cat"', "about: "),
        ('{"labels": "cat"}', "about.labels: "),
        ('{"label": "ca\\u200bt"}', "about.label: must not contain NUL"),
        ('{"label": 7}', "about.label: "),
        ('{"source": null}', "about.source: "),
        ('{"captured_at": "yesterday"}', "about.captured_at: must be a date"),
        ('{"captured_at": 1700000000}', "about.captured_at: must be a date"),
        ('{"captured_at": NaN}', "about.captured_at: must be a date"),
        ("{" + '"a":{' * 1_000, "about: Invalid JSON"),
    ],
)
def test_facts_that_cannot_be_used_are_told(said: str, problem: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        MediaFields().about(said)
    assert str(raised.value).startswith(problem)


@given(st.text())
def test_anything_said_about_a_file_is_read_or_refused(said: str) -> None:
    with suppress(InvalidRequestError):
        MediaFields().about(said)


@pytest.mark.parametrize(
    ("scopes", "may"), [({Scope.INGEST}, False), ({Scope.LABEL}, True), ({Scope.ADMIN}, True)]
)
def test_a_description_says_now_and_knows_a_wrong_name(scopes: set[Scope], may: bool) -> None:
    before = datetime.now(UTC)
    sender = Principal("client", "00000000", frozenset(scopes))
    said = MediaFields(source="gate").describe("a\0.jpg", "image/png", sender)
    assert said.may_relabel is may
    assert before <= said.captured_at <= datetime.now(UTC)
    assert (said.filename, said.name_mismatch, said.uploaded_by) == ("a\ufffd.jpg", True, "client")
