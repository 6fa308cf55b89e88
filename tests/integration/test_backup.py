"""Backup and restore on the real PostgreSQL: what was there is there again, rules included."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.integration.media_rows import png, store
from tests.integration.preparing import prepare
from tests.stacks import running_stack, visionops
from visionops_assets.backup import databases as backup_databases
from visionops_assets.backup.archive import Archive
from visionops_assets.backup.databases import Database
from visionops_assets.catalog import migrate
from visionops_assets.catalog.connection import Catalog
from visionops_assets.cli.backups import _databases
from visionops_assets.errors import BackupError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings

MEDIA = 50
ROWS = 200
Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("backup")
    with running_stack(home, {}, "--only", "postgresql,seaweedfs") as settings:
        fill(settings)
        yield settings


@pytest.fixture
def by_name(kept: Settings) -> dict[str, Database]:
    return {database.name: database for database in _databases()}


def fill(settings: Settings) -> None:
    """Put something into each database, as its owner would."""
    for _ in range(MEDIA):
        store(png())
    with Catalog().begin() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO release (model_name, model_version, snapshot_id, manifest_sha256)"
            " VALUES ('classifier', 1, 'ds-ümläut', 'x')"
        )
    for database in _databases():
        if database.name != "catalog":
            with database.connect() as connection:
                connection.execute("CREATE TABLE runs (run_id bigserial PRIMARY KEY, body jsonb)")
                connection.execute("CREATE INDEX body_of_runs ON runs USING gin (body)")
                connection.execute(
                    "INSERT INTO runs (body) SELECT jsonb_build_object('n', n, 'é', repeat('x', n))"
                    " FROM generate_series(1, %s) AS n",
                    (ROWS,),
                )
    leave()


def leave() -> None:
    """Close the connections of this process: a restore is refused while anybody has one."""
    Catalog().engine.dispose()


def contents(database: Database) -> Rows:
    """Return all that a database holds: rows, sequences, indexes, constraints, triggers, rights."""
    queries = {
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)"
        " FROM pg_trigger WHERE NOT tgisinternal",
        "functions": "SELECT proname, prosrc FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace",
        "comments": "SELECT objoid::regclass::text, objsubid, description FROM pg_description"
        " WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text IN"
        " (SELECT tablename FROM pg_tables WHERE schemaname = 'public')",
        "sequences": "SELECT sequencename, last_value FROM pg_sequences",
        "owners": "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'",
        "schema": "SELECT nspowner::regrole::text, nspacl::text[]::text FROM pg_namespace"
        " WHERE nspname = 'public'",
    }
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with database.connect() as connection:
        found = {name: sorted(connection.execute(query)) for name, query in queries.items()}
        for (table,) in connection.execute(tables).fetchall():
            rows = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(table))
            found[f"rows of {table}"] = connection.execute(rows).fetchall()
    return found


def ruin(database: Database) -> None:
    """Do to a database what no restore may leave: rows gone and new, rules dropped, a new table."""
    table = "media" if database.name == "catalog" else "runs"
    with database.connect() as connection:
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE ctid IN (SELECT ctid FROM {} LIMIT 7)").format(
                sql.Identifier(table), sql.Identifier(table)
            )
        )
        connection.execute("CREATE TABLE of_a_later_version (id int)")
        if database.name == "catalog":
            connection.execute("DROP TRIGGER append_only ON release")
            connection.execute("UPDATE release SET model_version = 99")
            connection.execute("UPDATE alembic_version SET version_num = '9999'")


def created() -> str:
    """Take a backup by the command and return its id."""
    result = visionops("backups", "add")
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[2].rstrip(":")


@contextmanager
def client_of(database: Database) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with database.connect() as connection:
        yield connection


def test_everything_is_as_it_was(kept: Settings, by_name: dict[str, Database]) -> None:
    before = {name: contents(database) for name, database in by_name.items()}
    assert len(before["catalog"]["rows of media"]) == MEDIA
    assert len(before["catalog"]["triggers"]) == 5
    assert len(before["mlflow"]["rows of runs"]) == ROWS
    revision = by_name["catalog"].schema_revision()
    backup_id = created()
    for database in by_name.values():
        ruin(database)
    result = visionops("backups", "restore", backup_id, "--yes")
    assert result.returncode == 0, result.stderr
    after = {name: contents(database) for name, database in by_name.items()}
    assert after == before
    assert by_name["catalog"].schema_revision() == revision


def test_the_restored_catalog_works_on(kept: Settings, by_name: dict[str, Database]) -> None:
    backup_id = created()
    ruin(by_name["catalog"])
    assert visionops("backups", "restore", backup_id, "--yes").returncode == 0
    before = contents(by_name["catalog"])
    migrate.upgrade(kept.postgres_url.get_secret_value())
    assert contents(by_name["catalog"]) == before
    store(png())  # Sequences go on: no id comes twice.
    leave()
    with (
        pytest.raises(psycopg.errors.RaiseException, match="never changed"),
        by_name["catalog"].connect() as connection,
    ):
        connection.execute("UPDATE release SET model_version = 99")


def test_nothing_is_restored_under_a_client(kept: Settings, by_name: dict[str, Database]) -> None:
    backup_id = created()
    ruined = by_name["dagster"]
    with ruined.connect() as connection:
        connection.execute("DELETE FROM runs WHERE run_id = 100")
    before = {name: contents(database) for name, database in by_name.items()}
    with client_of(by_name["catalog"]):
        result = visionops("backups", "restore", backup_id, "--yes")
    assert result.returncode == 2
    assert "1 client(s) are connected to the database catalog" in result.stderr
    assert {name: contents(database) for name, database in by_name.items()} == before
    assert visionops("backups", "restore", backup_id, "--yes", "--only", "dagster").returncode == 0
    assert contents(ruined) != before["dagster"]


def test_a_damaged_dump_is_noticed_before_anything_is_touched(
    kept: Settings, by_name: dict[str, Database]
) -> None:
    backup_id = created()
    key = f"backups/{backup_id}/mlflow.dump"
    ObjectStore().put(key, ObjectStore().get(key)[:-10])
    for database in by_name.values():
        with database.connect() as connection:
            connection.execute("CREATE TABLE witness (id int)")
    before = {name: contents(database) for name, database in by_name.items()}
    result = visionops("backups", "restore", backup_id, "--yes")
    assert result.returncode == 2
    assert "mlflow is not what was taken" in result.stderr
    assert {name: contents(database) for name, database in by_name.items()} == before
    for database in by_name.values():
        with database.connect() as connection:
            connection.execute("DROP TABLE witness")


def test_a_restore_that_fails_changes_nothing(
    kept: Settings, by_name: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(ObjectStore())
    backup = archive.take(list(by_name.values()))
    before = contents(by_name["catalog"])
    # Fails after the schema is gone, in the middle of the transaction.
    failing = (*backup_databases.EMPTY_SCHEMA, "CREATE TABLE media (id int)")
    monkeypatch.setattr(backup_databases, "EMPTY_SCHEMA", failing)
    with pytest.raises(BackupError, match=r"psql failed on the database catalog: .*exists"):
        archive.restore(backup, [by_name["catalog"]])
    assert contents(by_name["catalog"]) == before


def test_a_dump_is_of_one_moment(kept: Settings, by_name: dict[str, Database]) -> None:
    """What is written while a backup is taken is in it as a whole, or not at all."""
    catalog = by_name["catalog"]
    with client_of(catalog) as writer:
        writer.execute("CREATE TABLE left_side (id int)")
        writer.execute("CREATE TABLE right_side (id int)")
        writer.commit()
        writer.execute("INSERT INTO left_side VALUES (1)")
        writer.execute("INSERT INTO right_side VALUES (1)")
        backup_id = created()  # With that transaction open.
        writer.commit()
    assert visionops("backups", "restore", backup_id, "--yes", "--only", "catalog").returncode == 0
    after = contents(catalog)
    assert after["rows of left_side"] == after["rows of right_side"] == []
    with catalog.connect() as connection:
        connection.execute("DROP TABLE left_side, right_side")


def test_backups_are_listed_and_old_ones_go(kept: Settings, by_name: dict[str, Database]) -> None:
    newest = created()
    listed = visionops("backups", "ls").stdout
    assert newest in listed
    assert "(0004)" in listed or "(00" in listed
    archive = Archive(ObjectStore())
    gone = archive.prune(timedelta(days=1), datetime.now(UTC) + timedelta(days=2))
    assert newest not in gone
    assert [backup.backup_id for backup in archive.complete()] == [newest]
    assert {key.split("/")[1] for key in ObjectStore().list_keys("backups")} == {newest}


def test_no_password_is_in_the_process_list(by_name: dict[str, Database]) -> None:
    for database in by_name.values():
        assert database.url.password
        assert database.url.password not in database._conninfo


def test_unreachable_databases_are_named(kept: Settings) -> None:
    url = make_url("postgresql://nobody:x@127.0.0.1:1/none")
    result = visionops("backups", "restore", "20200101T000000Z", "--yes")
    assert result.returncode == 2
    assert "no complete backup '20200101T000000Z'" in result.stderr
    with pytest.raises(BackupError, match="pg_dump failed on the database x"):
        Database("x", url, {}).dump(kept.home / "x.dump")


def test_prepare_makes_the_databases_and_finds_them_made(kept: Settings, tmp_path: Path) -> None:
    """As a Job of a cluster, at the installation and at an upgrade, with the cluster's instance."""
    main = make_url(kept.postgres_url.get_secret_value()).set(drivername="postgresql")
    urls = {
        name: main.set(database=f"prepared_{name}") for name in ("catalog", "mlflow", "dagster")
    }
    password = (kept.home / "postgresql.password").read_text()
    administrator = main.set(username="postgres", password=password, database="postgres")
    owner = sql.Identifier(str(main.username))
    address = administrator.render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as server:
        for url in urls.values():
            database_name = sql.Identifier(str(url.database))
            server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database_name, owner))
    for _ in range(2):
        prepare(urls, tmp_path)
    for name, table in (("catalog", "media"), ("mlflow", "experiments"), ("dagster", "runs")):
        address = urls[name].render_as_string(hide_password=False)
        with psycopg.connect(address) as database:
            assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
            found = database.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            assert found is not None
            assert found[0] is not None, name
