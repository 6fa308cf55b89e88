"""The import of many files, against a service of a few lines."""

import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from visionops_assets.client.importing.folder import Folder
from visionops_assets.client.importing.importer import Importer, ImportResult, label_of
from visionops_assets.client.importing.journal import Journal, Order
from visionops_assets.client.importing.listing import Item
from visionops_assets.client.ingest import IngestClient
from visionops_assets.errors import RefusedError, ServerUnreachableError

URL = "http://127.0.0.1:8080"
Hook = Callable[[httpx.Request], httpx.Response | None]


class Ingest:
    """Stores what it is sent, once by content; `hook` may answer in its place."""

    def __init__(self, hook: Hook = lambda request: None) -> None:
        self.labels: dict[str, str | None] = {}
        self.received: Counter[str] = Counter()
        self.most_in_flight = 0
        self._hook = hook
        self._ids: dict[str, str] = {}
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
        digest = sha256(request.content).hexdigest()
        with self._lock:
            duplicate = digest in self._ids
            media_id = self._ids.setdefault(digest, str(uuid4()))
            name = request.url.params["filename"]
            self.labels[name] = request.url.params.get("label")
            self.received[name] += 1
        answer = {
            "media_id": media_id,
            "sha256": digest,
            "kind": "image",
            "bytes": len(request.content),
            "duplicate": duplicate,
            "status": "stored",
        }
        return httpx.Response(201, json=answer)


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
        self, ingest: Ingest, *, parallel: int = 4, label_by_folder: bool = False
    ) -> ImportResult:
        place = Folder(self.folder)
        order = Order(place.address, URL, "import", label_by_folder=label_by_folder)
        client = IngestClient(URL, None, retry_for_s=0, transport=httpx.MockTransport(ingest))
        with client, Journal(self._journals, order) as journal:
            self.importer = Importer(client, place, order, parallel)
            return self.importer.run(self._to_do(place, journal), journal, self.watch)

    def _to_do(self, place: Folder, journal: Journal) -> list[Item]:
        return [item for item in place.list_files().items if not journal.has(item)]


@pytest.fixture
def imports(tmp_path: Path) -> Import:
    return Import(tmp_path)


def refuse(*names: str) -> Hook:
    def hook(request: httpx.Request) -> httpx.Response | None:
        if request.url.params["filename"] not in names:
            return None
        return httpx.Response(415, json={"code": "unsupported_media_type", "detail": "No image."})

    return hook


def test_every_file_is_imported_once_and_then_never_again(imports: Import) -> None:
    imports.write(30)
    ingest = Ingest()
    result = imports.run(ingest, label_by_folder=True)
    assert (result.stored, result.duplicates, result.failures) == (30, [], [])
    assert set(ingest.received.values()) == {1}
    assert ingest.labels["class1/001.png"] == "class1"
    total_bytes = sum(path.stat().st_size for path in imports.folder.rglob("*.png"))
    assert (imports.watch.files, imports.watch.bytes) == (30, total_bytes)
    assert imports.run(ingest, label_by_folder=True).tried == 0
    (imports.folder / "class1" / "001.png").write_bytes(b"another png")
    assert imports.run(ingest, label_by_folder=True).stored == 1


def test_files_are_in_flight_together(imports: Import) -> None:
    imports.write(8)
    together = threading.Barrier(4, timeout=10)

    def hook(request: httpx.Request) -> httpx.Response | None:
        together.wait()
        return None

    ingest = Ingest(hook)
    assert imports.run(ingest, parallel=4).stored == 8
    assert ingest.most_in_flight == 4


def test_a_refused_file_stops_no_other_and_is_tried_again_later(imports: Import) -> None:
    imports.write(10)
    result = imports.run(Ingest(refuse("class0/003.png")))
    assert result.stored == 9
    (failure,) = result.failures
    assert (failure.path, failure.code, failure.detail) == (
        "class0/003.png",
        "unsupported_media_type",
        "No image.",
    )
    assert imports.watch.files == 10
    again = Ingest()
    assert imports.run(again).stored == 1
    assert list(again.received) == ["class0/003.png"]


def test_a_file_that_vanished_stops_no_other(imports: Import) -> None:
    imports.write(4)

    def hook(request: httpx.Request) -> httpx.Response | None:
        (imports.folder / "class2" / "002.png").unlink(missing_ok=True)
        return None

    result = imports.run(Ingest(hook), parallel=1)
    # Files go in the order of their paths: class0/000, class0/003, class1/001, class2/002.
    assert result.stored == 3
    (failure,) = result.failures
    assert (failure.path, failure.code) == ("class2/002.png", "unreadable")
    assert "No such file" in failure.detail


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


def test_stop_finishes_what_is_in_flight_and_the_next_run_does_the_rest(imports: Import) -> None:
    imports.write(20)
    ingest = Ingest()

    def stop_at_third(request: httpx.Request) -> httpx.Response | None:
        if sum(ingest.received.values()) == 2:
            imports.importer.stop()
        return None

    ingest = Ingest(stop_at_third)
    result = imports.run(ingest, parallel=1)
    assert (result.stored, result.stopped_by, result.failures) == (3, None, [])
    assert imports.run(ingest).stored == 17
    assert set(ingest.received.values()) == {1}


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
