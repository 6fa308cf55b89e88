import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.ingest_bodies import PNG_HEAD, arriving, collected, cut_at
from visionops_assets.errors import InvalidRequestError, SlowBodyError, TooLargeError
from visionops_assets.services.http.forms import MAX_FIELD_BYTES, MAX_PARTS, FormReader, Part

TYPE = "multipart/form-data; boundary=b"
Parts = list[tuple[Part, bytes]]

NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)
PLAIN_NAMES = NAMES.filter(lambda name: not set('\\"\r\n') & set(name))
FIELDS = st.dictionaries(PLAIN_NAMES, st.text(max_size=40), max_size=3)
FILES = st.lists(
    st.tuples(PLAIN_NAMES, PLAIN_NAMES, st.binary(max_size=300)), min_size=1, max_size=3
)
PLACES = st.lists(st.integers(0, 4_000), max_size=12)


def read_parts(form: FormReader) -> Parts:
    async def read() -> Parts:
        parts = []
        while part := await form.next_part():
            parts.append((part, b"".join(await collected(form.chunks()))))
        return parts

    return asyncio.run(read())


def parts_of(data: bytes, content_type: str = TYPE) -> Parts:
    return read_parts(FormReader(content_type, arriving([data])))


def form_of(*parts: tuple[str, bytes]) -> bytes:
    """Write a form by hand, from the head of each part and its content."""
    written = [b"--b\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts]
    return b"".join(written) + b"--b--\r\n"


FILE_HEAD = 'Content-Disposition: form-data; name="file"; filename="a.png"'
FIELD_HEAD = 'Content-Disposition: form-data; name="label"'
FORM = form_of((FILE_HEAD, PNG_HEAD), (FIELD_HEAD, b"cat"))


@given(fields=FIELDS, files=FILES, places=PLACES)
def test_a_form_is_the_same_however_it_is_cut(
    fields: dict[str, str], files: list[tuple[str, str, bytes]], places: list[int]
) -> None:
    request = httpx.Request(
        "POST",
        "http://service",
        data=fields,
        files=[(name, (filename, content)) for name, filename, content in files],
    )
    pieces = cut_at(request.read(), places)
    form = FormReader(request.headers["content-type"], arriving(pieces))
    assert read_parts(form) == [
        *((Part(name, None), value.encode()) for name, value in fields.items()),
        *((Part(name, filename), content) for name, filename, content in files),
    ]


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"b", b"--b", b"\r\n--", b"x"])), PLACES
)
def test_content_like_a_boundary_is_content(like: list[bytes], places: list[int]) -> None:
    content = b"".join(like).replace(b"\r\n--b", b"\r\n--x")
    if content.startswith(b"--b"):
        content = b"x" + content
    data = form_of((FILE_HEAD, content))
    form = FormReader(TYPE, arriving(cut_at(data, places)))
    assert read_parts(form) == [(Part("file", "a.png"), content)]


def test_fields_come_before_and_after_files() -> None:
    data = form_of((FIELD_HEAD, b"a"), (FILE_HEAD, PNG_HEAD), (FIELD_HEAD, b"b"))
    assert [(part.name, body) for part, body in parts_of(data)] == [
        ("label", b"a"),
        ("file", PNG_HEAD),
        ("label", b"b"),
    ]


@given(st.integers(0, len(FORM) - len("\r\n") - 1))
def test_a_form_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidRequestError):
        parts_of(FORM[:length])


@given(st.integers(0, len(FORM) - 1), st.integers(0, 255), PLACES)
def test_a_damaged_form_is_read_or_refused(place: int, byte: int, places: list[int]) -> None:
    data = FORM[:place] + bytes([byte]) + FORM[place + 1 :]
    with suppress(InvalidRequestError):
        read_parts(FormReader(TYPE, arriving(cut_at(data, places))))


@given(st.binary(max_size=300), PLACES)
def test_what_is_no_form_is_refused(data: bytes, places: list[int]) -> None:
    with pytest.raises(InvalidRequestError):
        read_parts(FormReader(TYPE, arriving(cut_at(data, places))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        form_of((FILE_HEAD.replace(":", ""), b"x")),
        form_of((f"X: {'a' * 100_000}", b"x")),
        form_of((f"{'a' * 100_000}: x", b"x")),
        form_of(("\r\n".join(["X: y"] * 1_000), b"x")),
        form_of(*[(FIELD_HEAD, b"")] * (MAX_PARTS + 1)),
        form_of((FILE_HEAD, PNG_HEAD)).replace(b"--b--", b"--b-x"),
    ],
    ids=["empty", "json", "no colon", "value", "name", "headers", "parts", "open"],
)
def test_a_form_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parts_of(data)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 10_000}",
    ],
)
def test_an_unusable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequestError, match="boundary"):
        parts_of(FORM, content_type)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("Content-Type: image/png", Part("", None)),
        ('content-disposition: form-data; name="file"', Part("file", None)),
        ('Content-Disposition: form-data; name="file"; filename=""', Part("file", "")),
        (
            r'Content-Disposition: form-data; name="file"; filename="a\"b"',
            Part("file", 'a"b'),
        ),
        (
            'Content-Disposition: form-data; name="file"; filename="../../a"',
            Part("file", "../../a"),
        ),
        (
            "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a.png",
            Part("file", None),
        ),
        ('Content-Disposition: form-data; name="file"; filename="кот"', Part("file", "кот")),
    ],
)
def test_the_head_of_a_part_names_it(head: str, expected: Part) -> None:
    assert parts_of(form_of((head, b"x"))) == [(expected, b"x")]


def test_names_that_are_no_utf8_are_shown_as_such() -> None:
    data = form_of((FILE_HEAD, b"x")).replace(b"a.png", b"\xff.png")
    assert parts_of(data) == [(Part("file", "\N{REPLACEMENT CHARACTER}.png"), b"x")]


def test_what_is_not_read_of_a_part_is_passed_over() -> None:
    async def names() -> list[str]:
        data = form_of((FILE_HEAD, b"x" * 10_000), (FIELD_HEAD, b"cat"), (FIELD_HEAD, b"dog"))
        form = FormReader(TYPE, arriving(cut_at(data, range(0, len(data), 100))))
        first = await form.next_part()
        await anext(form.chunks())
        assert await form.next_part() == Part("label", None)
        last = await form.next_part()
        assert first
        assert last
        return [first.name, await form.text(last)]

    assert asyncio.run(names()) == ["file", "dog"]


def test_nothing_but_the_piece_that_came_is_held() -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        yield form_of((FILE_HEAD, b"")).removesuffix(b"\r\n--b--\r\n")
        for _ in range(100):
            taken += 1
            yield b"x" * 1_000

    async def read() -> None:
        form = FormReader(TYPE, body())
        await form.next_part()
        assert len(await anext(form.chunks())) == 1_000

    asyncio.run(read())
    assert taken == 1


@pytest.mark.parametrize(
    ("value", "problem"), [(b"x" * (MAX_FIELD_BYTES + 1), "more than"), (b"\xff", "UTF-8")]
)
def test_a_field_must_be_short_text(value: bytes, problem: str) -> None:
    async def read() -> None:
        form = FormReader(TYPE, arriving([form_of((FIELD_HEAD, value))]))
        part = await form.next_part()
        assert part
        await form.text(part)

    with pytest.raises(InvalidRequestError, match=f"label: .*{problem}"):
        asyncio.run(read())


@pytest.mark.parametrize("error", [TooLargeError("too large"), SlowBodyError("too slow")])
def test_a_body_that_failed_is_not_taken_for_one_that_was_cut_off(error: Exception) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield FORM[:-10]
        raise error

    async def read() -> None:
        form = FormReader(TYPE, body())
        await form.next_part()
        await form.next_part()
        with pytest.raises(type(error)):
            await collected(form.chunks())
        await form.next_part()

    with pytest.raises(type(error)):
        asyncio.run(read())
