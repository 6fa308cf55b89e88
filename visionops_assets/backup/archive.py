"""Backups in the bucket: `backups/<backup_id>/<database>.dump`, and a manifest, written last.

A backup without a manifest was interrupted, and does not count. The next pruning removes its dumps.
"""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from visionops_assets.backup.databases import Database
from visionops_assets.contracts import TolerantRecord
from visionops_assets.errors import BackupError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore

PREFIX = "backups"
MANIFEST = "manifest.json"
# To the microsecond: two backups with one id would overwrite each other's dumps.
ID_FORMAT = "%Y%m%dT%H%M%S.%fZ"
_ID = re.compile(rf"{PREFIX}/(\d{{8}}T\d{{6}}\.\d{{6}}Z)/")


class DumpedDatabase(TolerantRecord):
    """One dump of a backup. `schema_revision` is its newest migration, None without migrations."""

    name: str
    bytes: int
    sha256: str
    schema_revision: str | None


class Backup(TolerantRecord):
    """One backup. Each database is of one moment, at or after `taken_at`."""

    backup_id: str
    taken_at: datetime
    databases: tuple[DumpedDatabase, ...]


class Archive:
    """The backups in one bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def take(self, databases: Sequence[Database]) -> Backup:
        """Dump databases and keep the dumps.

        Raises:
            BackupError: a dump failed; there is no backup.
            ServerUnreachableError: a database or the store does not answer; there is no backup.
        """
        taken_at = datetime.now(UTC)
        backup_id = taken_at.strftime(ID_FORMAT)
        with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
            dumped = tuple(self._dump(backup_id, each, Path(folder)) for each in databases)
        backup = Backup(backup_id=backup_id, taken_at=taken_at, databases=dumped)
        self._store.create(_key(backup_id, MANIFEST), backup.model_dump_json(indent=2).encode())
        return backup

    def _dump(self, backup_id: str, database: Database, folder: Path) -> DumpedDatabase:
        path = folder / f"{database.name}.dump"
        revision = database.schema_revision()
        database.dump(path)
        digest, size_bytes = _digest(path), path.stat().st_size
        self._store.upload(_key(backup_id, path.name), path)
        path.unlink()
        return DumpedDatabase(
            name=database.name, bytes=size_bytes, sha256=digest, schema_revision=revision
        )

    def complete(self) -> list[Backup]:
        """Return the complete backups, oldest first."""
        keys = self._store.list_keys(PREFIX)
        return [self.get(key.split("/")[1]) for key in keys if key.endswith(f"/{MANIFEST}")]

    def get(self, backup_id: str) -> Backup:
        """Return one backup.

        Raises:
            NotFoundError: no backup has that id, or it was interrupted.
            BackupError: its manifest is unreadable.
        """
        try:
            return Backup.model_validate_json(self._store.get(_key(backup_id, MANIFEST)))
        except NotFoundError:
            raise NotFoundError(f"There is no complete backup {backup_id!r}.") from None
        except ValidationError as error:
            raise BackupError(f"The manifest of backup {backup_id!r} is unreadable.") from error

    def restore(self, backup: Backup, databases: Sequence[Database]) -> None:
        """Put databases back as the backup has them, each as a whole.

        All dumps are fetched and compared with the manifest before any database is touched. Nobody
        may be connected to one: a client that goes on writing would mix two histories.

        Raises:
            BackupError: somebody is connected, a dump is missing or damaged, or PostgreSQL refused
                it. The message names the database; those before it are restored.
        """
        dumps = {dumped.name: dumped for dumped in backup.databases}
        for database in databases:
            if database.name not in dumps:
                raise BackupError(f"Backup {backup.backup_id} has no database {database.name!r}.")
            if clients := database.other_clients():
                raise BackupError(
                    f"{clients} client(s) are connected to the database {database.name}. "
                    "Stop everything that writes, and try again."
                )
        with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
            paths = [
                self._fetch(backup.backup_id, dumps[each.name], Path(folder)) for each in databases
            ]
            for database, path in zip(databases, paths, strict=True):
                database.restore(path)

    def _fetch(self, backup_id: str, dumped: DumpedDatabase, folder: Path) -> Path:
        path = folder / f"{dumped.name}.dump"
        self._store.download(_key(backup_id, path.name), path)
        if _digest(path) != dumped.sha256:
            raise BackupError(f"The dump of {dumped.name} is not what was taken. Use another one.")
        return path

    def prune(self, keep: timedelta, now: datetime) -> list[str]:
        """Delete backups that were begun longer than `keep` before `now`; return their ids.

        The newest complete one stays, however old it is.
        """
        complete = self.complete()
        newest = complete[-1].backup_id if complete else None
        keys_by_id: dict[str, list[str]] = {}
        for key in self._store.list_keys(PREFIX):
            # Other objects there are not ours.
            if ours := _ID.match(key):
                keys_by_id.setdefault(ours[1], []).append(key)
        old = [found for found in keys_by_id if found != newest and _begun_at(found) < now - keep]
        for backup_id in old:
            # The manifest goes first: a half deleted backup must not count.
            for key in sorted(keys_by_id[backup_id], key=lambda key: not key.endswith(MANIFEST)):
                self._store.delete(key)
        return old


def _key(backup_id: str, file: str) -> str:
    return f"{PREFIX}/{backup_id}/{file}"


def _begun_at(backup_id: str) -> datetime:
    return datetime.strptime(backup_id, ID_FORMAT).replace(tzinfo=UTC)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
