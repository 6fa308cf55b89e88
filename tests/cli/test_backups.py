import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from visionops_assets.backup.archive import Backup, DumpedDatabase
from visionops_assets.backup.databases import Database
from visionops_assets.cli import app, backups
from visionops_assets.errors import InvalidRequestError

TAKEN = Backup(
    backup_id="20261126T021700.000000Z",
    taken_at=datetime(2026, 11, 26, 2, 17, tzinfo=UTC),
    databases=(
        DumpedDatabase(name="catalog", bytes=2_500_000, sha256="0" * 64, schema_revision="0004"),
    ),
)


@dataclass
class FakeArchive:
    """Notes what it is asked."""

    restored: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    pruned: list[timedelta] = field(default_factory=list)

    def prune(self, older_than: timedelta, now: datetime) -> list[str]:
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
        self.pruned.append(older_than)
        return ["20260101T000000.000000Z"]

    def take(self, databases: Sequence[Database]) -> Backup:
        self.taken += [database.name for database in databases]
        return TAKEN

    def complete(self) -> list[Backup]:
        return [TAKEN]

    def get(self, backup_id: str) -> Backup:
        assert backup_id == TAKEN.backup_id
        return TAKEN

    def restore(self, _: Backup, databases: Sequence[Database]) -> None:
        self.restored += [database.name for database in databases]


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    fake = FakeArchive()
    monkeypatch.setattr(backups, "_archive", lambda: fake)
    monkeypatch.setattr(backups, "forget_again", lambda: ["Forgot 2 media files again."])
    return fake


def test_dagster_is_dumped_before_the_catalog_and_mlflow_after_it(archive: FakeArchive) -> None:
    result = CliRunner().invoke(app, ["backups", "add"])
    assert archive.taken == ["dagster", "catalog", "mlflow"]
    assert "20261126T021700.000000Z: catalog 2.5 MB (0004)" in result.stdout


def test_old_backups_are_deleted_after_one_was_taken_if_that_was_asked_for(
    archive: FakeArchive,
) -> None:
    assert CliRunner().invoke(app, ["backups", "add"]).exit_code == 0
    assert archive.pruned == []
    result = CliRunner().invoke(app, ["backups", "add", "--keep-days", "30"])
    assert archive.pruned == [timedelta(days=30)]
    assert "Deleted backup 20260101T000000.000000Z." in result.stdout
    as_json = CliRunner().invoke(app, ["backups", "add", "--keep-days", "1", "--json"]).stdout
    assert json.loads(as_json)["deleted"] == ["20260101T000000.000000Z"]
    assert CliRunner().invoke(app, ["backups", "add", "--keep-days", "0"]).exit_code == 2


def test_a_restore_asks_first(archive: FakeArchive) -> None:
    words = ["backups", "restore", TAKEN.backup_id]
    refused = CliRunner().invoke(app, words, input="n\n")
    assert refused.exit_code == 1
    assert "2026-11-26 02:17:00" in refused.output
    assert archive.restored == []
    assert CliRunner().invoke(app, words, input="y\n").exit_code == 0
    assert archive.restored == ["dagster", "catalog", "mlflow"]


def test_only_some_are_restored(archive: FakeArchive) -> None:
    words = ["backups", "restore", TAKEN.backup_id, "--yes", "--only"]
    assert CliRunner().invoke(app, [*words, "catalog, mlflow"]).exit_code == 0
    assert archive.restored == ["catalog", "mlflow"]
    wrong = CliRunner().invoke(app, [*words, "catalogue"])
    assert isinstance(wrong.exception, InvalidRequestError)
    assert "There are: catalog, dagster, mlflow" in str(wrong.exception)
    assert archive.restored == ["catalog", "mlflow"]


def test_mlflow_may_have_a_database_and_a_user_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = "postgresql+psycopg2://mlflow:x@elsewhere/tracking"
    urls = {database.name: database.url for database in backups._databases(own)}
    assert (urls["mlflow"].host, urls["mlflow"].database) == ("elsewhere", "tracking")
    beside = {database.name: database.url for database in backups._databases()}
    assert beside["mlflow"] == beside["dagster"].set(database="mlflow")


def test_the_variable_of_mlflow_counts(
    archive: FakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def databases(url: str | None) -> list[Database]:
        seen.append(url)
        return []

    monkeypatch.setattr(backups, "_databases", databases)
    environment = {"MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow@db/mlflow"}
    assert CliRunner().invoke(app, ["backups", "add"], env=environment).exit_code == 0
    assert seen == ["postgresql://mlflow@db/mlflow"]


def test_backups_are_listed(archive: FakeArchive) -> None:
    assert "catalog 2.5 MB" in CliRunner().invoke(app, ["backups", "ls"]).stdout
    lines = CliRunner().invoke(app, ["backups", "ls", "--json"]).stdout
    assert Backup.model_validate_json(lines) == TAKEN
