"""Migrations of a catalog with rows, on the real PostgreSQL. Each in a schema of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from visionops_assets.catalog.migrate import alembic_config
from visionops_assets.catalog.schema import Base
from visionops_assets.settings import Settings


@pytest.fixture
def connection(stack: Settings) -> Iterator[Connection]:
    """Return a connection whose transaction sees an empty schema alone, and is never committed."""
    assert stack.postgres_url is not None
    engine = create_engine(stack.postgres_url.get_secret_value())
    with engine.connect() as connection:
        schema = f"migrated_{uuid4().hex[:8]}"
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        connection.execute(text(f"SET LOCAL search_path = {schema}"))
        yield connection
        connection.rollback()
    engine.dispose()


def upgrade(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


SNAPSHOT = """
INSERT INTO snapshot (snapshot_id, watermark, spec_id, spec, classes, train_frames, holdout_frames,
                      object_prefix)
VALUES (:id, now(), 'pp-1', '{}', '["a"]', 2, 1, 'snapshots/1')
"""
VERDICT = """
INSERT INTO verdict (model_name, model_version, passed, verdict, dagster_run_id)
VALUES (:name, 1, true, jsonb_build_object('snapshot_id', CAST(:id AS text)), 'run')
"""


@pytest.mark.parametrize("judged", [True, False])
def test_a_snapshot_is_of_the_model_that_was_judged_by_it(
    connection: Connection, judged: bool
) -> None:
    upgrade(connection, "0017")
    for number in "12":
        connection.execute(text(SNAPSHOT), {"id": f"ds-{number}"})
    if judged:
        connection.execute(text(VERDICT), {"name": "flowers", "id": "ds-1"})
        connection.execute(text(VERDICT), {"name": "birds", "id": "ds-none"})
    upgrade(connection, "head")
    named = connection.execute(text("SELECT snapshot_id, model_name FROM snapshot"))
    expected = {"ds-1": "flowers", "ds-2": "birds"} if judged else {}
    assert dict(map(tuple, named)) == {
        f"ds-{n}": expected.get(f"ds-{n}", "classifier") for n in "12"
    }


def test_the_newest_schema_is_that_of_the_code(connection: Connection) -> None:
    upgrade(connection, "head")
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = "
    found = set(map(tuple, connection.execute(text(query + "current_schema()"))))
    said = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
    }
    assert said == {(table, column) for table, column in found if table != "alembic_version"}
