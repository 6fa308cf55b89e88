"""Large files through little memory, and long uploads that keep their leases."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil

from tests.integration.ingest.conftest import HASTY_S
from tests.integration.ingest.content import png
from tests.integration.ingest.observing import row_of
from tests.integration.ingest.sending import Client, replica
from visionops_assets.catalog.connection import Catalog
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.sweep import Sweep
from visionops_assets.settings import Settings

LARGE_BYTES = 500 * 1024**2
MAX_RSS_BYTES = 300 * 1024**2
PIECE = b"." * 1024**2
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
FORM_END = b"\r\n--b--\r\n"


@contextmanager
def watching_memory(pid: int) -> Iterator[list[int]]:
    """Note the resident bytes of a process, many times a second."""
    process, seen, done = psutil.Process(pid), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def test_memory_does_not_grow_with_the_files(client: Client) -> None:
    head = png()

    def content(source: bytes) -> Iterator[bytes]:
        yield head + source
        for _ in range(LARGE_BYTES // len(PIECE)):
            yield PIECE

    def form() -> Iterator[bytes]:
        yield FILE_HEAD
        yield from content(b"f")
        yield FORM_END

    with (
        replica(client.headers, MAX_UPLOAD_BYTES=str(2 * LARGE_BYTES)) as roomy,
        watching_memory(roomy.process.pid) as rss_bytes,
        ThreadPoolExecutor(2) as pool,
    ):
        by_form = pool.submit(roomy.client.upload_raw, form(), headers=FORM)
        raw = pool.submit(roomy.client.upload_raw, content(b"r"))
        answers = [by_form.result(), raw.result()]
    for answer in answers:
        assert answer.status_code == 201, answer.text
        size_bytes = LARGE_BYTES + len(head) + 1
        assert answer.json()["bytes"] == size_bytes
        key = row_of(answer.json()["media_id"]).object_key
        assert ObjectStore().size_bytes(key) == size_bytes
        ObjectStore().delete(key)
    assert max(rss_bytes) < MAX_RSS_BYTES


def test_a_long_upload_keeps_its_lease(hasty: Client, ingest: Settings) -> None:
    settings = ingest.model_copy(update={"upload_lease_s": HASTY_S})
    sweep = Sweep(settings, Catalog(), ObjectStore())
    given_up: list[int] = []

    def slow_body() -> Iterator[bytes]:
        yield png()
        ends_at_s = time.monotonic() + 2 * HASTY_S
        while time.monotonic() < ends_at_s:
            given_up.append(sweep.run_once()[0]["uploads_given_up"])
            time.sleep(HASTY_S / 10)
            yield PIECE[:10_000]

    answer = hasty.upload_raw(slow_body())
    assert answer.status_code == 201, answer.text
    assert set(given_up) == {0}
