"""The import of many files, against a service of a few lines."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.services.ingest_bodies import arriving, collected
from visionops_assets.client.importing import grouping
from visionops_assets.client.importing.folder import Folder
from visionops_assets.client.importing.importer import Importer, ImportResult, label_of
from visionops_assets.client.importing.journal import Journal, Order
from visionops_assets.client.importing.listing import Item
from visionops_assets.errors import RefusedError, ServerUnreachableError
from visionops_assets.services.http.forms import FormReader
from visionops_client.ingest import IngestClient

URL = "http://127.0.0.1:8080"
REFUSAL = {"status": 415, "code": "unsupported_media_type", "detail": "No image."}
Hook = Callable[[httpx.Request], httpx.Response | None]


class Ingest:
    """Stores what it is sent, once by content; `hook` may answer in its place."""

    def __init__(self, hook: Hook = lambda request: None) -> None:
        self.labels: dict[str, str | None] = {}
        self.received: Counter[str] = Counter()
        self.requests: list[list[str]] = []
        """The names of the files of each request."""
        self.most_in_flight = 0
        self._hook = hook
        self.refused: set[str] = set()
        self._ids: dict[str, str] = {}
        self._known: set[str] = set()
        self._in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return self._hook(request) or self._store(request)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _store(self, request: httpx.Request) -> httpx.Response:
        files = files_of(request)
        with self._lock:
            results = [self._result(said, data) for said, data in files]
            self.requests.append([said["filename"] for said, _ in files])
        if request.url.path == "/v1/media/batch":
            return httpx.Response(207, json={"results": results})
        (result,) = results
        return httpx.Response(201, json=result["receipt"])

    def _result(self, said: dict[str, str], data: bytes) -> dict[str, Any]:
        name = said["filename"]
        self.received[name] += 1
        if name in self.refused:
            return {"filename": name, "refusal": REFUSAL}
        self.labels[name] = said.get("label")
        digest = sha256(data).hexdigest()
        receipt = {
            "media_id": self._ids.setdefault(digest, str(uuid4())),
            "sha256": digest,
            "kind": "image",
            "bytes": len(data),
            "duplicate": digest in self._known,
            "status": "stored",
        }
        self._known.add(digest)
        return {"filename": name, "receipt": receipt}


def files_of(request: httpx.Request) -> list[tuple[dict[str, str], bytes]]:
    """What a request says of each of its files, and the bytes."""
    if request.url.path == "/v1/media":
        return [(dict(request.url.params), request.content)]

    async def read() -> list[tuple[dict[str, str], bytes]]:
        form = FormReader(request.headers["content-type"], arriving([request.content]))
        parts = []
        while part := await form.next_part():
            parts.append((part.name, b"".join(await collected(form.chunks()))))
        abouts = [json.loads(content) for name, content in parts if name == "about"]
        return list(zip(abouts, (c for name, c in parts if name == "file"), strict=True))

    return asyncio.run(read())


class Watch:
    def __init__(self) -> None:
        self.bytes = 0
        self.files = 0
        self._lock = threading.Lock()

    def sent(self, size_bytes: int) -> None:
        with self._lock:
            self.bytes += size_bytes

    def settled(self) -> None:
        self.files += 1


class Import:
    """One folder, imported as often as one likes."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "photos"
        self.watch = Watch()
        self._journals = home / "imports"

    def write(self, count: int) -> None:
        for number in range(count):
            path = self.folder / f"class{number % 3}" / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"png %d" % number)

    def run(
        self,
        ingest: Ingest,
        *,
        parallel: int = 4,
        label_by_folder: bool = False,
        items: list[Item] | None = None,
    ) -> ImportResult:
        place = Folder(self.folder)
        order = Order(place.address, URL, "import", label_by_folder=label_by_folder)
        client = IngestClient(URL, None, retry_for_s=0, transport=httpx.MockTransport(ingest))
        with client, Journal(self._journals, order) as journal:
            self.importer = Importer(client, place, order, parallel)
            return self.importer.run(items or self._to_do(place, journal), journal, self.watch)

    def _to_do(self, place: Folder, journal: Journal) -> list[Item]:
        return [item for item in place.list_files().items if not journal.has(item)]


@pytest.fixture
def imports(tmp_path: Path) -> Import:
    return Import(tmp_path)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MAX_FILES", 4)


def test_every_file_is_imported_once_and_then_never_again(imports: Import) -> None:
    imports.write(80)
    ingest = Ingest()
    result = imports.run(ingest, label_by_folder=True)
    assert (result.stored, result.duplicates, result.failures) == (80, [], [])
    assert sorted(map(len, ingest.requests)) == [16, 32, 32]
    assert set(ingest.received.values()) == {1}
    assert ingest.labels["class1/001.png"] == "class1"
    total_bytes = sum(path.stat().st_size for path in imports.folder.rglob("*.png"))
    assert (imports.watch.files, imports.watch.bytes) == (80, total_bytes)
    assert imports.run(ingest, label_by_folder=True).tried == 0
    (imports.folder / "class1" / "001.png").write_bytes(b"another png")
    assert imports.run(ingest, label_by_folder=True).stored == 1


def test_requests_are_in_flight_together(imports: Import, small_groups: None) -> None:
    imports.write(32)
    together = threading.Barrier(4, timeout=10)

    def hook(request: httpx.Request) -> httpx.Response | None:
        together.wait()
        return None

    ingest = Ingest(hook)
    assert imports.run(ingest, parallel=4).stored == 32
    assert ingest.most_in_flight == 4


def test_a_refused_file_stops_no_other_and_is_tried_again_later(imports: Import) -> None:
    imports.write(10)
    ingest = Ingest()
    ingest.refused = {"class0/003.png"}
    result = imports.run(ingest)
    assert result.stored == 9
    (failure,) = result.failures
    assert (failure.path, failure.code, failure.detail) == (
        "class0/003.png",
        "unsupported_media_type",
        "No image.",
    )
    assert imports.watch.files == 10
    assert len(ingest.requests) == 1
    again = Ingest()
    assert imports.run(again).stored == 1
    assert list(again.received) == ["class0/003.png"]


@pytest.mark.parametrize("status", [404, 413, 422, 500])
def test_if_files_may_not_share_a_request_each_has_its_own(
    imports: Import, small_groups: None, status: int
) -> None:
    """By an earlier service, or a proxy with a limit of its own. It is asked once."""
    imports.write(20)
    refused = 0

    def hook(request: httpx.Request) -> httpx.Response | None:
        nonlocal refused
        if request.url.path == "/v1/media":
            return None
        refused += 1
        return httpx.Response(status, json={"code": "invalid_request", "detail": "about: no"})

    ingest = Ingest(hook)
    result = imports.run(ingest, parallel=1)
    assert (result.stored, result.failures, refused) == (20, [], 1)
    assert ingest.requests == [[name] for name in sorted(ingest.received)]
    total_bytes = sum(path.stat().st_size for path in imports.folder.rglob("*.png"))
    assert (imports.watch.files, imports.watch.bytes) == (20, total_bytes)


def test_one_file_goes_as_the_body_of_its_request(imports: Import) -> None:
    imports.write(1)
    seen: list[str] = []

    def hook(request: httpx.Request) -> httpx.Response | None:
        seen.append(request.url.path)
        return None

    assert imports.run(Ingest(hook)).stored == 1
    assert seen == ["/v1/media"]


def test_a_file_that_vanished_stops_no_other(imports: Import, small_groups: None) -> None:
    imports.write(8)

    def hook(request: httpx.Request) -> httpx.Response | None:
        (imports.folder / "class1" / "004.png").unlink(missing_ok=True)
        return None

    # Files go in the order of their paths: class0/000, 003, 006, class1/001, then class1/004 ...
    ingest = Ingest(hook)
    result = imports.run(ingest, parallel=1)
    assert result.stored == 7
    (failure,) = result.failures
    assert (failure.path, failure.code) == ("class1/004.png", "unreadable")
    assert "No such file" in failure.detail
    assert list(map(len, ingest.requests)) == [4, 3]


def test_a_file_that_changed_goes_alone_as_it_is_now(imports: Import) -> None:
    imports.write(4)
    place = Folder(imports.folder)
    items = place.list_files().items
    changed = imports.folder / items[1].path
    changed.write_bytes(b"a longer png than before")
    ingest = Ingest()
    assert imports.run(ingest, items=items).stored == 4
    together = [items[0].path, items[2].path, items[3].path]
    assert ingest.requests == [together, [items[1].path]]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(503, json={"code": "x", "detail": "y"}), ServerUnreachableError),
        (httpx.Response(401, json={"code": "unauthenticated", "detail": "y"}), RefusedError),
        (httpx.Response(403, json={"code": "forbidden", "detail": "y"}), RefusedError),
    ],
    ids=["unreachable", "unauthenticated", "forbidden"],
)
def test_what_concerns_every_file_stops_the_import(
    imports: Import, response: httpx.Response, error: type[Exception]
) -> None:
    imports.write(40)
    result = imports.run(Ingest(lambda request: response))
    assert isinstance(result.stopped_by, error)
    assert (result.stored, result.failures) == (0, [])
    assert imports.run(Ingest()).stored == 40


def test_a_label_that_may_not_be_changed_stops_no_other_file(
    imports: Import, small_groups: None
) -> None:
    """Its request is refused as a whole; its files go alone then, and later ones together again."""
    imports.write(12)
    known = "class1/001.png"

    def hook(request: httpx.Request) -> httpx.Response | None:
        is_said = request.url.params.get("filename") == known
        about_it = is_said or known.encode() in request.content
        problem = {"code": "label_forbidden", "detail": "It has another label."}
        return httpx.Response(403, json=problem) if about_it else None

    ingest = Ingest(hook)
    result = imports.run(ingest, parallel=1)
    assert (result.stopped_by, result.stored) == (None, 11)
    (failure,) = result.failures
    assert (failure.path, failure.code) == (known, "label_forbidden")
    assert max(map(len, ingest.requests[-2:])) > 1


def test_stop_finishes_what_is_in_flight_and_the_next_run_does_the_rest(
    imports: Import, small_groups: None
) -> None:
    imports.write(20)
    ingest = Ingest()

    def stop_at_third(request: httpx.Request) -> httpx.Response | None:
        if len(ingest.requests) == 2:
            imports.importer.stop()
        return None

    ingest = Ingest(stop_at_third)
    result = imports.run(ingest, parallel=1)
    assert (result.stored, result.stopped_by, result.failures) == (12, None, [])
    assert imports.run(ingest).stored == 8
    assert set(ingest.received.values()) == {1}


def test_stop_begins_no_file_of_a_group_that_goes_one_by_one(imports: Import) -> None:
    imports.write(20)

    def hook(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/v1/media/batch":
            return httpx.Response(404)
        if len(ingest.requests) == 2:
            imports.importer.stop()
        return None

    ingest = Ingest(hook)
    assert imports.run(ingest, parallel=1).tried == 3
    assert imports.run(ingest).stored == 17


def test_a_fault_of_ours_is_not_hidden(imports: Import) -> None:
    imports.write(3)

    def hook(request: httpx.Request) -> httpx.Response | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        imports.run(Ingest(hook))


@pytest.mark.parametrize(
    ("path", "label"),
    [("cat/1.png", "cat"), ("train/cat/1.png", "cat"), ("1.png", None), ("ä\n/1.png", "ä\n")],
)
def test_the_folder_a_file_lies_in_is_its_label(path: str, label: str | None) -> None:
    assert label_of(path, Order("a", URL, "s", label_by_folder=True)) == label
    assert label_of(path, Order("a", URL, "s", label="dog")) == "dog"
    assert label_of(path, Order("a", URL, "s")) is None
    by_table = Order("a", URL, "s", labels_file="l.csv", labels={path: "cow"})
    assert (label_of(path, by_table), label_of("other", by_table)) == ("cow", None)
