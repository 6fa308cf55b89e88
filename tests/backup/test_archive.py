"""The archive by itself: what counts as a backup, and what is deleted when."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.engine import make_url

from tests.resources.memory_store import MemoryStore
from visionops_assets.backup import databases
from visionops_assets.backup.archive import Archive, Backup
from visionops_assets.backup.databases import Database, find_program
from visionops_assets.errors import BackupError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore

NOW = datetime(2026, 11, 26, tzinfo=UTC)


class FileStore(MemoryStore):
    """The store's way with files, over a dictionary."""

    def upload(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def create(self, key: str, data: bytes) -> None:
        assert key not in self
        self.put(key, data)


@dataclass
class FakeDatabase:
    """A database whose dump is its content."""

    name: str
    content: bytes = b"rows"
    clients: int = 0
    fails: bool = False
    restored: list[bytes] = field(default_factory=list)

    def schema_revision(self) -> str | None:
        return "0004" if self.name == "catalog" else None

    def other_clients(self) -> int:
        return self.clients

    def dump(self, path: Path) -> None:
        if self.fails:
            raise BackupError("pg_dump failed")
        path.write_bytes(self.content)

    def restore(self, path: Path) -> None:
        self.restored.append(path.read_bytes())


def archive_of(store: FileStore) -> Archive:
    return Archive(cast(ObjectStore, store))


def given(*fakes: FakeDatabase) -> Sequence[Database]:
    return cast(Sequence[Database], fakes)


def add(store: FileStore, begun_at: datetime, *, complete: bool = True) -> str:
    backup_id = begun_at.strftime("%Y%m%dT%H%M%S.%fZ")
    store[f"backups/{backup_id}/catalog.dump"] = b"rows"
    if complete:
        backup = Backup(backup_id=backup_id, taken_at=begun_at, databases=())
        store[f"backups/{backup_id}/manifest.json"] = backup.model_dump_json().encode()
    return backup_id


def test_the_manifest_is_written_last_and_says_what_was_taken() -> None:
    store = FileStore()
    catalog, mlflow = FakeDatabase("catalog", b"many rows"), FakeDatabase("mlflow")
    backup = archive_of(store).take(given(catalog, mlflow))
    assert [key.rpartition("/")[2] for key in store.written] == [
        "catalog.dump",
        "mlflow.dump",
        "manifest.json",
    ]
    assert [(d.name, d.bytes, d.schema_revision) for d in backup.databases] == [
        ("catalog", 9, "0004"),
        ("mlflow", 4, None),
    ]
    assert archive_of(store).complete() == [backup]


def test_backups_of_one_second_do_not_touch_each_other() -> None:
    store = FileStore()
    archive = archive_of(store)
    taken = [archive.take(given(FakeDatabase("catalog", rows))) for rows in (b"few", b"more")]
    assert archive.complete() == taken
    restored = FakeDatabase("catalog")
    for backup in taken:
        archive.restore(backup, given(restored))
    assert restored.restored == [b"few", b"more"]


def test_a_backup_that_was_broken_off_is_none() -> None:
    store = FileStore()
    with pytest.raises(BackupError):
        archive_of(store).take(given(FakeDatabase("catalog"), FakeDatabase("mlflow", fails=True)))
    (key,) = store
    assert key.endswith("/catalog.dump")
    assert archive_of(store).complete() == []
    with pytest.raises(NotFoundError, match="no complete backup"):
        archive_of(store).get(key.split("/")[1])


def test_nothing_is_restored_unless_all_can_be() -> None:
    store = FileStore()
    catalog, mlflow = FakeDatabase("catalog"), FakeDatabase("mlflow")
    archive = archive_of(store)
    backup = archive.take(given(catalog, mlflow))
    mlflow.clients = 3
    with pytest.raises(BackupError, match=r"3 client\(s\) are connected to the database mlflow"):
        archive.restore(backup, given(catalog, mlflow))
    mlflow.clients = 0
    with pytest.raises(BackupError, match="no database 'dagster'"):
        archive.restore(backup, given(catalog, FakeDatabase("dagster")))
    store[f"backups/{backup.backup_id}/mlflow.dump"] = b"rots"
    with pytest.raises(BackupError, match="mlflow is not what was taken"):
        archive.restore(backup, given(catalog, mlflow))
    assert catalog.restored == mlflow.restored == []
    store[f"backups/{backup.backup_id}/mlflow.dump"] = b"rows"
    archive.restore(backup, given(catalog, mlflow))
    assert catalog.restored == mlflow.restored == [b"rows"]


def test_pruning_keeps_the_young_and_the_newest_complete_one() -> None:
    store = FileStore({"backups/of-somebody-else": b""})
    add(store, NOW - timedelta(days=40))
    add(store, NOW - timedelta(days=39), complete=False)
    young = add(store, NOW - timedelta(days=2))
    broken_off = add(store, NOW - timedelta(hours=1), complete=False)
    archive_of(store).prune(timedelta(days=30), NOW)
    assert {key.split("/")[1] for key in store} == {young, broken_off, "of-somebody-else"}
    assert archive_of(store).prune(timedelta(days=30), NOW + timedelta(days=365)) == [broken_off]
    assert [backup.backup_id for backup in archive_of(store).complete()] == [young]


def test_an_unreadable_manifest_is_named() -> None:
    store = FileStore({"backups/20261126T000000.000000Z/manifest.json": b"{}"})
    with pytest.raises(BackupError, match=r"20261126T000000\.000000Z"):
        archive_of(store).get("20261126T000000.000000Z")


def test_passwords_go_by_the_environment_and_options_of_the_url_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, str]]] = []

    def run(command: tuple[str, ...], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, options["env"]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    url = make_url("postgresql+psycopg://me:s%40cret@db:6543/visionops?sslmode=verify-full")
    Database("catalog", url, {"PATH": "/bin"}).dump(tmp_path / "x.dump")
    ((command, environment),) = calls
    assert "s@cret" not in " ".join(command)
    assert {"PATH": "/bin", "PGPASSWORD": "s@cret"}.items() <= environment.items()
    conninfo = command[-1].removeprefix("--dbname=").split()
    assert {"host=db", "port=6543", "user=me", "sslmode=verify-full"} <= set(conninfo)


def test_programs_are_those_of_the_local_server_else_of_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Path(find_program("pg_dump")).parent.parts[-2:] == ("pginstall", "bin")
    monkeypatch.setattr(databases, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert find_program("pg_dump") == "/usr/bin/pg_dump"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BackupError, match="client programs"):
        find_program("pg_dump")


@pytest.mark.parametrize("program", ["pg_dump", "psql"])
def test_programs_of_the_local_server_can_check_a_certificate(program: str) -> None:
    """They are built without TLS, and would refuse even to try."""
    environment = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "system"}
    database = Database("x", make_url("postgresql://me:secret@127.0.0.1:1/x"), environment)
    with pytest.raises(BackupError, match="Connection refused"):
        database._run(program, connect=True)


def test_programs_of_the_path_are_left_as_they_are() -> None:
    assert "LD_PRELOAD" in databases._with_tls(find_program("pg_dump"))
    assert databases._with_tls("/usr/bin/pg_dump") == {}


def test_a_package_that_is_missing_or_empty_has_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "only_a_folder").mkdir()
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    assert databases._folder_of("no_such_package") is None
    assert databases._folder_of("only_a_folder") is None
    assert databases._folder_of("a_package") == tmp_path / "a_package"


@pytest.mark.parametrize(
    ("installed", "libraries", "preloaded"),
    [
        (False, (), {}),
        (True, (), {}),
        (True, ("libpq-1.so.5", "libssl-1.so.3"), {"LD_PRELOAD": "libpq-1.so.5"}),
    ],
)
def test_only_a_library_that_is_there_is_put_before_a_program(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    installed: bool,
    libraries: Sequence[str],
    preloaded: dict[str, str],
) -> None:
    """The wheel of psycopg is absent, has none (as on macOS), or has it."""
    folder = tmp_path / "psycopg_binary.libs"
    folder.mkdir()
    for name in libraries:
        (folder / name).touch()
    package = tmp_path / "psycopg_binary" if installed else None
    monkeypatch.setattr(databases, "_folder_of", lambda _: package)
    monkeypatch.setattr(databases, "_bundled", lambda: tmp_path)
    found = databases._with_tls(str(tmp_path / "psql"))
    assert found == {name: str(folder / library) for name, library in preloaded.items()}
