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


RELEASED = """
INSERT INTO release (model_name, model_version, snapshot_id, manifest_sha256)
VALUES ('birds', 7, 'ds-7', '')
"""


def test_versions_are_known_by_their_verdicts_and_releases(connection: Connection) -> None:
    upgrade(connection, "0019")
    connection.execute(text(VERDICT), {"name": "flowers", "id": "ds-1"})
    connection.execute(text(VERDICT), {"name": "flowers", "id": "ds-1"})
    connection.execute(text(RELEASED))
    upgrade(connection, "head")
    query = "SELECT model_name, model_version, snapshot_id, mlflow_run_id FROM trained_version"
    assert set(map(tuple, connection.execute(text(query)))) == {
        ("flowers", 1, "ds-1", None),
        ("birds", 7, "ds-7", None),
    }


FILE = """
INSERT INTO media (media_id, status, source, object_key, attempt, lease_expires_at, captured_at)
VALUES (:id, 'processed', :source, :source, 1, now(), now())
"""
ANSWERED = """
INSERT INTO prediction (prediction_id, topic, topic_partition, topic_offset, predicted_at,
    model_name, model_version, snapshot_id, label, probabilities, embedding, image_sha256,
    latency_ms)
VALUES (:id, 't', 0, :offset, now(), :model, 1, 's', 'cat', '[0.25, 0.75]', '[]', '', 1)
"""
LABEL = """
INSERT INTO label (media_id, prediction_id, label, origin, author, retracts)
VALUES (:media, :prediction, :label, :origin, :author, :retracts) RETURNING label_id
"""


@pytest.fixture
def labelled(connection: Connection) -> dict[str, int]:
    """Return the ids of labels, in a catalog as of 0018: as each door wrote them."""
    upgrade(connection, "0018")
    files = {name: str(uuid4()) for name in ("uploaded", "adopted")}
    for name, media_id in files.items():
        connection.execute(text(FILE), {"id": media_id, "source": name})
    predictions = {name: str(uuid4()) for name in ("birds", "flowers")}
    for offset, (model, key) in enumerate(predictions.items()):
        connection.execute(text(ANSWERED), {"id": key, "model": model, "offset": offset})

    def add(label: str, origin: str = "upload", **said: object) -> int:
        row = {"media": None, "prediction": None, "author": "ann", "retracts": None, **said}
        values = {"label": label, "origin": origin, **row}
        return int(connection.execute(text(LABEL), values).scalar_one())

    ids = {
        "upload": add("cat", media=files["uploaded"]),
        "mistake": add("dgo", media=files["uploaded"]),
        "prediction": add("tit", "feedback", prediction=predictions["birds"]),
        "early": add("tit", "feedback", prediction=str(uuid4())),
        "adopted": add("tit", "feedback", media=files["adopted"]),
    }
    revoked = {"media": files["uploaded"], "author": None, "retracts": ids["mistake"]}
    ids["taken back"] = add("dgo", "revoked", **revoked)
    connection.execute(
        text("INSERT INTO adopted_label (label_id, media_id) VALUES (:label, :media)"),
        {"label": ids["prediction"], "media": files["adopted"]},
    )
    early = "INSERT INTO early_label (label_id, author) VALUES (:id, 'ann')"
    connection.execute(text(early), {"id": ids["early"]})
    return ids


def test_labels_are_carried_over_as_annotations_of_their_models(
    connection: Connection, labelled: dict[str, int]
) -> None:
    upgrade(connection, "head")
    query = "SELECT annotation_id, payload, model_name, author, retracts, trust FROM annotation"
    rows = {row.annotation_id: row for row in connection.execute(text(query))}
    assert rows.keys() == set(labelled.values())
    said = {
        name: (rows[key].payload, rows[key].model_name, rows[key].author, rows[key].retracts)
        for name, key in labelled.items()
    }
    assert said == {
        "upload": ({"label": "cat"}, None, "ann", None),
        "mistake": ({"label": "dgo"}, None, "ann", None),
        "prediction": ({"label": "tit"}, "birds", "ann", None),
        "early": ({"label": "tit"}, None, "ann", None),
        "adopted": ({"label": "tit"}, "birds", "ann", None),
        "taken back": (None, None, None, labelled["mistake"]),
    }
    answers = connection.execute(text("SELECT label, answer FROM prediction")).all()
    assert answers == [("cat", None)] * 2
    assert connection.execute(text("SELECT label_id FROM early_label")).scalars().all() == [
        labelled["early"]
    ]


def test_replicas_of_before_read_and_add_labels_meanwhile(
    connection: Connection, labelled: dict[str, int]
) -> None:
    upgrade(connection, "head")
    read = text(
        "SELECT label, author FROM label AS given WHERE retracts IS NULL"
        " AND NOT EXISTS (SELECT FROM label WHERE retracts = given.label_id) ORDER BY label_id"
    )
    stand = [("cat", "ann"), ("tit", "ann"), ("tit", "ann"), ("tit", "ann")]
    assert connection.execute(read).all() == stand
    key, values = uuid4(), {"media": None, "author": "bob", "retracts": None}
    added = connection.execute(
        text(LABEL), {**values, "prediction": key, "label": "owl", "origin": "feedback"}
    ).scalar_one()
    assert added > max(labelled.values())
    assert connection.execute(read).all() == [*stand, ("owl", "bob")]
    settle = text(
        "WITH stored AS (SELECT media_id FROM media WHERE source = 'adopted'), labelled AS ("
        " INSERT INTO label (media_id, label, origin, author)"
        " SELECT media_id, 'elk', 'upload', 'bob' FROM stored) SELECT count(*) FROM stored"
    )
    connection.execute(settle)
    revoke = {"media": None, "prediction": key, "label": "owl", "origin": "revoked"}
    connection.execute(text(LABEL), {**values, **revoke, "author": None, "retracts": added})
    newest = "SELECT payload, origin, retracts FROM annotation ORDER BY annotation_id DESC LIMIT 3"
    assert connection.execute(text(newest)).all() == [
        (None, "revoked", added),
        ({"label": "elk"}, "upload", None),
        ({"label": "owl"}, "feedback", None),
    ]


def test_the_version_before_gets_its_labels_back(
    connection: Connection, labelled: dict[str, int]
) -> None:
    upgrade(connection, "head")
    for payload in ('{"labels": ["a", "b"]}', '{"label": "elk"}'):
        row = (
            "INSERT INTO annotation (prediction_id, payload, origin)"
            f" VALUES ('{uuid4()}', CAST(:payload AS jsonb), 'test')"
        )
        connection.execute(text(row), {"payload": payload})
    config = alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, "0018")
    found = connection.execute(text("SELECT label, retracts FROM label ORDER BY label_id")).all()
    assert found == [
        *(("cat", None), ("dgo", None), ("tit", None), ("tit", None), ("tit", None)),
        ("", labelled["mistake"]),
        ("elk", None),
    ]


ASKED = """
WITH promoted AS (
    INSERT INTO release (model_name, model_version, snapshot_id, manifest_sha256)
    VALUES ('birds', 1, 's', '') RETURNING release_id
), decided AS (
    INSERT INTO decision (model_name, model_version, release_id, outcome, reason, evidence,
        dagster_run_id)
    SELECT 'birds', 1, release_id, 'ask_for_labels', '', '{}', 'run' FROM promoted
    RETURNING decision_id
), opened AS (
    INSERT INTO labelling_batch (model_name, model_version, decision_id)
    SELECT 'birds', 1, decision_id FROM decided RETURNING batch_id
)
INSERT INTO labelling_item (batch_id, prediction_id) SELECT batch_id, :id FROM opened
"""


def test_batches_of_before_are_audits_and_the_version_before_goes_on_opening_them(
    connection: Connection,
) -> None:
    upgrade(connection, "0020")
    keys = [str(uuid4()) for _ in range(2)]
    for offset, key in enumerate(keys):
        connection.execute(text(ANSWERED), {"id": key, "model": "birds", "offset": offset})
    connection.execute(text(ASKED), {"id": keys[0]})
    upgrade(connection, "head")
    connection.execute(text("UPDATE labelling_batch SET closed_at = now()"))
    connection.execute(text(ASKED), {"id": keys[1]})
    query = text(
        "SELECT purpose, prediction_id::varchar, claimed_by FROM labelling_item"
        " JOIN labelling_batch USING (batch_id) ORDER BY item_id"
    )
    assert connection.execute(query).all() == [("audit", key, None) for key in keys]
    connection.execute(
        text("INSERT INTO labelling_batch (model_name, purpose) VALUES ('birds', 'selection')")
    )
    config = alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, "0020")
    left = "SELECT prediction_id::varchar FROM labelling_item ORDER BY batch_id"
    assert connection.execute(text(left)).scalars().all() == keys
    assert connection.execute(text("SELECT count(*) FROM labelling_batch")).scalar_one() == 2


def test_the_newest_schema_is_that_of_the_code(connection: Connection) -> None:
    upgrade(connection, "head")
    query = """
    SELECT table_name, column_name FROM information_schema.columns
    JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
    """
    found = set(map(tuple, connection.execute(text(query))))
    said = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
    }
    assert said == {(table, column) for table, column in found if table != "alembic_version"}
