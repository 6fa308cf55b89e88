"""`visionops import` on real servers: broken off anywhere, nothing is lost and nothing doubled."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.integration.ingest.content import png
from tests.stacks import key_for, running_stack, visionops
from visionops_assets.catalog import keys
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import AnnotationRow, Media
from visionops_assets.client.importing.bucket import AccessKey, Bucket
from visionops_assets.client.importing.grouping import MAX_FILES
from visionops_assets.contracts import Scope
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import ContentChangedError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_client import ingest as ingest_client
from visionops_client.ingest import IngestClient

FILES = 800
PARALLEL = 2
REFUSED = {"c0/empty.png": b"", "c1/notes.png": b"#!/bin/sh\n", "page.html": b"<html></html>"}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("import")
    with running_stack(home, {}, "--only", "ingest,relay") as settings:
        yield settings


def photos(folder: Path, count: int = FILES) -> Path:
    for number in range(count):
        path = folder / f"c{number % 4}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    for name, data in REFUSED.items():
        (folder / name).write_bytes(data)
    return folder


def run_import(*words: str) -> dict[str, Any]:
    """Import, and return the report with the exit code in it."""
    done = visionops("import", *words, "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    return report | {"exit_code": done.returncode}


def broken_off(
    settings: Settings, number: signal.Signals, origin: Path, source: str
) -> tuple[int, str]:
    """Import until some files are done, then send a signal; return exit code and output."""
    command = [sys.executable, "-m", "visionops_assets", "import", str(origin), "--source", source]
    command += ["--parallel", str(PARALLEL)]
    before = set((settings.home / "imports").glob("*"))
    with subprocess.Popen(
        [*command, "--parallel", str(PARALLEL)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while process.poll() is None and lines_of_new_journal(settings, before) < FILES // 4:
            time.sleep(0.005)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert FILES // 4 <= lines_of_new_journal(settings, before) < FILES
    return process.returncode, output


def lines_of_new_journal(settings: Settings, before: set[Path]) -> int:
    new = set((settings.home / "imports").glob("*")) - before
    return sum(journal.read_bytes().count(b"\n") for journal in new)


def stored(source: str) -> list[Media]:
    with Catalog().begin() as session:
        return list(session.scalars(select(Media).where(Media.source == source)))


def labels(source: str) -> Counter[str]:
    query = select(AnnotationRow.payload).join(Media, Media.media_id == AnnotationRow.media_id)
    with Catalog().begin() as session:
        return Counter(map(text_of, session.scalars(query.where(Media.source == source))))


def assert_every_file_is_stored_once(origin: Path, source: str) -> None:
    rows = stored(source)
    wanted = {
        str(path.relative_to(origin)): path.read_bytes()
        for path in origin.rglob("*.png")
        if str(path.relative_to(origin)) not in REFUSED
    }
    assert len(rows) == len(wanted)
    assert {row.filename: ObjectStore().get(row.object_key) for row in rows} == wanted


def test_a_killed_import_goes_on(edge: Settings, tmp_path: Path) -> None:
    origin = photos(tmp_path)
    broken_off(edge, signal.SIGKILL, origin, "killed")
    report = run_import(str(origin), "--source", "killed")
    assert report["exit_code"] == 2
    assert report["stored"] + report["duplicates"] + report["done_before"] == FILES
    # What was in flight at the kill may have been stored without being noted.
    assert report["duplicates"] <= PARALLEL * MAX_FILES
    assert {failure["path"]: failure["code"] for failure in report["failed"]} == {
        "c0/empty.png": "empty",
        "c1/notes.png": "unsupported_media_type",
        "page.html": "unsupported_media_type",
    }
    assert_every_file_is_stored_once(origin, "killed")


def test_an_interrupted_import_ends_what_is_in_flight(edge: Settings, tmp_path: Path) -> None:
    origin = photos(tmp_path)
    exit_code, output = broken_off(edge, signal.SIGINT, origin, "interrupted")
    assert exit_code == 130
    assert "Waiting for the files in flight" in output
    assert "the same command goes on with them" in output
    report = run_import(str(origin), "--source", "interrupted")
    assert report["duplicates"] == 0
    assert report["stored"] + report["done_before"] == FILES
    assert_every_file_is_stored_once(origin, "interrupted")


def test_what_is_done_is_skipped_unless_asked_for_again(edge: Settings, tmp_path: Path) -> None:
    origin = photos(tmp_path, 8)
    first = run_import(str(origin), "--source", "again", "--label-by-folder")
    assert (first["stored"], first["done_before"]) == (8, 0)
    assert labels("again") == {f"c{i}": 2 for i in range(4)}
    for row in stored("again"):
        changed_s = (tmp_path / str(row.filename)).stat().st_mtime
        assert row.captured_at.timestamp() == pytest.approx(changed_s, abs=1e-5)
    second = run_import(str(origin), "--source", "again", "--label-by-folder")
    assert (second["stored"], second["duplicates"], second["done_before"]) == (0, 0, 8)
    third = run_import(str(origin), "--source", "again", "--label-by-folder", "--again")
    assert (third["stored"], third["duplicates"], third["done_before"]) == (0, 8, 0)
    assert len(stored("again")) == 8


def test_a_dry_run_sends_nothing(edge: Settings, tmp_path: Path) -> None:
    done = visionops("import", str(photos(tmp_path, 8)), "--source", "dry", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "c3/007.png" in done.stdout
    assert "11 files" in done.stdout
    assert stored("dry") == []


def test_the_key_of_an_import_ends_with_it(edge: Settings, tmp_path: Path) -> None:
    report = run_import(str(photos(tmp_path, 4)), "--source", "key")
    with Catalog().begin() as session:
        made = [key for key in keys.list_all(session) if report["import_id"] in key.name]
    assert [key.scopes for key in made] == [[Scope.INGEST]]
    assert all(key.revoked_at for key in made)


def test_a_refused_key_stops_the_import_and_shows_nowhere(edge: Settings, tmp_path: Path) -> None:
    wrong = f"vo_abcdefgh_{'s' * 43}"
    done = visionops("import", str(photos(tmp_path, 8)), "--source", "wrong", "--key", wrong)
    assert done.returncode == 2
    assert "unauthenticated" in done.stderr
    assert "files are left" in done.stdout
    assert "Traceback" not in done.stderr
    assert wrong not in done.stdout + done.stderr
    assert stored("wrong") == []


@pytest.fixture
def inbox(edge: Settings) -> Bucket:
    """Objects in the stack's own store, as a partner might leave them."""
    for number in range(40):
        ObjectStore().put(f"inbox/c{number % 4}/{number}.png", png())
    ObjectStore().put("inbox/c0/100% ä+.png", png())
    ObjectStore().put("inbox/.hidden.png", png())
    assert edge.s3_access_key_id
    assert edge.s3_secret_access_key
    return Bucket(
        f"s3://{edge.s3_bucket}/inbox/",
        connections=1,
        endpoint_url=edge.s3_endpoint_url,
        access_key=AccessKey(edge.s3_access_key_id, edge.s3_secret_access_key),
    )


def test_a_prefix_of_s3_is_imported(edge: Settings, inbox: Bucket) -> None:
    assert edge.s3_endpoint_url
    words = (f"s3://{edge.s3_bucket}/inbox/", "--source", "s3", "--label-by-folder")
    report = run_import(*words, "--endpoint-url", edge.s3_endpoint_url)
    assert (report["exit_code"], report["stored"], report["left_out"]) == (0, 41, {"hidden": 1})
    for row in stored("s3"):
        assert ObjectStore().get(row.object_key) == ObjectStore().get(f"inbox/{row.filename}")
    assert labels("s3") == {"c0": 11, "c1": 10, "c2": 10, "c3": 10}
    again = run_import(*words, "--endpoint-url", edge.s3_endpoint_url)
    assert (again["stored"], again["done_before"]) == (0, 41)


def test_an_object_is_read_in_the_version_that_was_listed(inbox: Bucket) -> None:
    items = {item.path: item for item in inbox.list_files().items}
    kept, changed, gone = (items[f"c{n}/{n}.png"] for n in range(3))
    data = ObjectStore().get("inbox/c0/0.png")
    assert b"".join(inbox.open(kept).chunks()) == data
    assert b"".join(inbox.open(kept).chunks(3, 17)) == data[3:17]
    ObjectStore().put("inbox/c1/1.png", png())
    with pytest.raises(ContentChangedError):
        next(inbox.open(changed).chunks())
    ObjectStore().delete("inbox/c2/2.png")
    with pytest.raises(FileNotFoundError):
        next(inbox.open(gone).chunks())


def test_a_bucket_must_be_there(edge: Settings) -> None:
    assert edge.s3_endpoint_url
    done = visionops("import", "s3://nowhere/inbox", "--endpoint-url", edge.s3_endpoint_url)
    assert done.returncode == 2
    assert "bucket does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_large_file_goes_in_pieces(
    edge: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_client, "IN_PIECES_ABOVE_BYTES", 1024**2)
    path = tmp_path / "large.png"
    path.write_bytes(png(20 * 1024**2))
    key = key_for(Scope.INGEST)
    with IngestClient(edge.ingest_url, key) as client:
        first = client.upload(path, source="large", filename=path.name, label="cat")
        second = client.upload(path, source="large")
    assert (first.bytes, first.duplicate) == (path.stat().st_size, False)
    assert (second.media_id, second.duplicate) == (first.media_id, True)
    (row,) = stored("large")
    assert (row.media_id, row.filename) == (first.media_id, "large.png")
    assert ObjectStore().get(row.object_key) == path.read_bytes()
    assert labels("large") == {"cat": 1}
