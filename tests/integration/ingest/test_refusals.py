"""What ingest must not take: every hostile file, name and body. Nothing of it may be left."""

import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.ingest.conftest import MAX_UPLOAD_BYTES
from tests.integration.ingest.content import png
from tests.integration.ingest.observing import kept, row_of
from tests.integration.ingest.sending import TUS, Client, Wire
from tests.stacks import key_header
from tests.vision.corpus import CASES, Case
from tests.waiting import eventually
from visionops_assets.contracts import Scope
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.problems import STATUS_BY_CODE
from visionops_assets.settings import Settings

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
FORM_END = b"\r\n--b--\r\n"
CHUNKED = {"Transfer-Encoding": "chunked"}


def refusal_of(case: Case) -> str | None:
    """The code with which ingest refuses it; what does not decode is found out later."""
    return None if case.code == "corrupt" else case.code


@pytest.mark.parametrize("name", CASES)
def test_each_file_has_its_answer(client: Client, name: str) -> None:
    case, data = CASES[name], CASES[name].make()
    before = kept()
    response = client.upload_raw(data, filename=name, source="corpus")
    answer = response.json()
    code = refusal_of(case)
    if code:
        assert (response.status_code, answer["code"]) == (STATUS_BY_CODE[code], code)
        assert kept() == before
        return
    assert (response.status_code, answer.get("kind")) == (201, case.kind)
    row = row_of(answer["media_id"])
    assert ObjectStore().get(row.object_key) == data
    assert row.name_mismatch is (name == "really-a-png.jpg")


def test_all_files_in_one_batch_have_the_same_answers(client: Client) -> None:
    files = [(name, case.make()) for name, case in CASES.items()]
    before = kept()
    results = client.upload_batch(files, source="corpus in a batch").json()["results"]
    codes = {r["filename"]: r["refusal"] and r["refusal"]["code"] for r in results}
    assert codes == {name: refusal_of(case) for name, case in CASES.items()}
    new = {r["receipt"]["media_id"] for r in results if r["receipt"]}
    assert {str(media_id) for media_id in kept().media - before.media} == new


NAMES = [
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "/etc/passwd",
    "C:\\a.png",
    "a\0b.png",
    "a\r\nX-Evil: 1.png",
    "a%00%2e%2e%2f.png",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "кот 猫 👩‍🔬.png",
    "x" * 1_000,
    'a"; filename="b.png',
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_never_a_path(client: Client, name: str) -> None:
    answers = [client.upload_raw(png(), filename=name), client.upload(png(), name)]
    if not name:
        answers.pop()  # Then the part is no file for httpx.
    for answer in answers:
        assert answer.status_code == 201, answer.text
        media_id = answer.json()["media_id"]
        row = row_of(media_id)
        day, _, own = row.object_key.removeprefix("media/").rpartition("/")
        assert own == media_id
        assert day.replace("/", "").isdecimal()
        shown = row.filename or ""
        assert len(shown) <= 255
        assert not any(unicodedata.category(character) == "Cc" for character in shown)
        assert client.state(media_id)["filename"] == row.filename


def test_an_escaped_line_break_in_a_name_is_shown_harmlessly(client: Client) -> None:
    answer = client.upload_raw(png(), filename="a\nb.png").json()
    assert row_of(answer["media_id"]).filename == "a\ufffdb.png"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def has_ended(ingest: Settings, wire: Wire) -> bool:
    """Whether the handler of a request has come to its end."""
    return wire.request_id in (ingest.home / "logs" / "ingest.log").read_text()


LENGTHS = {
    "missing": ({}, 400, "invalid_content_length"),
    "garbage": ({"Content-Length": "ten"}, 400, "malformed_request"),
    "negative": ({"Content-Length": "-5"}, 400, "malformed_request"),
    "two": ({"Content-Length": "5\r\nContent-Length: 6"}, 400, "malformed_request"),
    "endless": ({"Content-Length": "9" * 40}, 400, "malformed_request"),
    "both": ({"Content-Length": "5"} | CHUNKED, 400, "malformed_request"),
    "over the limit": ({"Content-Length": str(MAX_UPLOAD_BYTES * 9)}, 413, "too_large"),
    "huge": ({"Content-Length": str(10**15)}, 413, "too_large"),
    "too small": ({"Content-Length": "100"}, 400, "malformed_request"),
    "too small for the form": ({"Content-Length": "100"} | FORM, 400, "malformed_request"),
}


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("path", ["/v1/media", "/v1/media/batch"])
def test_a_wrong_length_leaves_nothing(
    client: Client, ingest: Settings, path: str, case: str
) -> None:
    headers, status, code = LENGTHS[case]
    if path.endswith("batch"):
        headers = FORM | headers
    before = kept()
    with client.wire("POST", path, headers) as wire:
        if case != "missing":  # Whatever follows would be another request.
            wire.send(FILE_HEAD + png() + FORM_END)
        answered, problem = wire.answer()
    assert (answered, problem) == (status, code)
    if case.startswith("too small"):  # The server itself answered, while we were at work.
        eventually("end of the request", lambda: has_ended(ingest, wire))
    assert kept() == before


@pytest.mark.parametrize("head", [b"", FILE_HEAD], ids=["raw", "form"])
def test_a_body_that_is_too_large_without_saying_so_leaves_nothing(
    client: Client, head: bytes
) -> None:
    def body() -> Iterator[bytes]:
        yield head + png()
        for _ in range(60):
            yield b"." * 100_000

    before = kept()
    response = client.upload_raw(body(), headers=FORM if head else None)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert kept() == before


HALF = png(1_500_000)[:1_200_000]
LONG = {"Content-Length": "2000000"}
CUT_OFF = {
    "raw": ("/v1/media", LONG, png()[:50]),
    "raw stream": ("/v1/media", LONG, HALF),
    "chunked": ("/v1/media", CHUNKED, chunk(HALF)),
    "no chunk": ("/v1/media", CHUNKED, chunk(HALF) + b"no length\r\n"),
    "form": ("/v1/media", FORM | LONG, FILE_HEAD + HALF),
    "form, file complete": ("/v1/media", FORM | LONG, FILE_HEAD + png() + b"\r\n--b\r\n"),
    "batch": ("/v1/media/batch", FORM | LONG, (FILE_HEAD + png() + b"\r\n") * 3 + FILE_HEAD + HALF),
    "nothing": ("/v1/media", LONG, b""),
}


@pytest.mark.parametrize("case", CUT_OFF)
def test_a_client_that_goes_away_leaves_nothing(
    client: Client, ingest: Settings, case: str
) -> None:
    path, headers, sent = CUT_OFF[case]
    before = kept()
    with client.wire("POST", path, headers) as wire:
        wire.send(sent)
    eventually("end of the request", lambda: has_ended(ingest, wire))
    assert kept() == before


def test_a_slow_body_is_ended_and_leaves_nothing(hasty: Client) -> None:
    """All at once, since each takes as long as a client may be silent."""

    def stalling(path: str, headers: dict[str, str], sent: bytes) -> tuple[int, str]:
        with hasty.wire("POST", path, headers) as wire:
            wire.send(sent)
            return wire.answer()

    before = kept()
    slow = [CUT_OFF[case] for case in CUT_OFF if case != "no chunk"]
    with ThreadPoolExecutor(len(slow)) as pool:
        answers = list(pool.map(lambda request: stalling(*request), slow))
    # An upload's lease is as long: on a busy machine it may be over first.
    assert {status for status, _ in answers} == {408}
    assert {"slow_body"} <= {code for _, code in answers} <= {"slow_body", "upload_expired"}
    assert kept() == before


def test_what_is_announced_is_all_that_is_taken(client: Client) -> None:
    data = png()
    with client.wire("POST", "/v1/media", {"Content-Length": str(len(data))}) as wire:
        wire.send(data)
        assert wire.answer() == (201, "")
        wire.send(b"and more, which is no request\r\n\r\n")
        assert wire.answer()[0] == 400


def test_a_key_of_another_scope_takes_nothing_in(client: Client) -> None:
    stranger = Client(client.url, key_header(Scope.PREDICT))
    before = kept()
    for answer in (
        stranger.upload_raw(png()),
        stranger.upload(png()),
        stranger.upload_batch([("a", png())]),
        stranger.request("POST", "/v1/uploads", headers=TUS | {"Upload-Length": "10"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert kept() == before
