"""The capacity model's bytes a row are those of the real catalog, indexes included."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.stacks import running_stack
from visionops_assets.capacity import measurements as m
from visionops_assets.settings import Settings

ROWS = 20_000
ROUNDS = 20
TOLERANCE = 0.2
EVENT = json.dumps({f"field_{n}": "x" * 27 for n in range(11)})
"""As long as a media event."""
ROUND_OF_ROWS = (
    "INSERT INTO media (media_id, status, attempt, source, filename, object_key, captured_at,"
    " lease_expires_at, kind, content_type, sha256, bytes, uploaded_by)"
    " SELECT gen_random_uuid(), 'receiving', 1, %(round)s, n || '-street.jpg',"
    " 'media/' || gen_random_uuid(), now(), now(), 'image', 'image/jpeg',"
    " encode(sha256(n::text::bytea), 'hex'), 200000, 'cameras'"
    " FROM generate_series(1, %(rows)s) AS n",
    "INSERT INTO outbox (event_id, topic, message_key, payload)"
    " SELECT gen_random_uuid(), 'media', media_id::text, %(event)s::jsonb FROM media"
    " WHERE source = %(round)s",
    # What becomes of a row: each change writes it anew.
    "UPDATE media SET status = 'stored', stored_at = now() WHERE source = %(round)s",
    "UPDATE outbox SET published_at = now() WHERE published_at IS NULL",
    "INSERT INTO consumed_event (event_id, topic, topic_partition, topic_offset, media_id,"
    " batch_key) SELECT event_id, topic, 0, outbox_id, media_id, 'media-0-0-1000'"
    " FROM outbox JOIN media ON media_id = message_key::uuid WHERE source = %(round)s",
    "UPDATE media SET status = 'queued' WHERE source = %(round)s",
    "INSERT INTO frame (frame_id, media_id, spec_id, frame_index, time_s, perceptual_hash,"
    " shard_key, shard_offset, frame_bytes, batch_key, quality, crop_hashes)"
    " SELECT gen_random_uuid(), media_id,"
    " 'pp-0123456789ab', 0, 0, 'fedcba9876543210',"
    " 'frames/pp-0123456789ab/media-0-0-1000/shard-00000.tar', 512, 9268, 'media-0-0-1000',"
    " '[0.512, 0.2213, 2.317, 0.0412, 6.917]', decode(repeat('5a', 88), 'hex')"
    " FROM media WHERE source = %(round)s",
    "INSERT INTO annotation (media_id, payload, origin)"
    """ SELECT media_id, '{"label": "car"}', 'upload' FROM media WHERE source = %(round)s""",
    "UPDATE media SET status = 'processed', processed_at = now() WHERE source = %(round)s",
    # As autovacuum does: the space of what was changed is used again.
    "VACUUM media, outbox",
)
BATCH = (
    "INSERT INTO media_batch (batch_key, topic, topic_partition, start_offset, end_offset)"
    " VALUES ('media-0-0-1000', 'media', 0, 0, 1000)"
)
PREDICTIONS = (
    "INSERT INTO prediction (prediction_id, topic, topic_partition, topic_offset, predicted_at,"
    " model_name, model_version, snapshot_id, label, answer, probabilities, embedding,"
    " image_sha256, latency_ms, quality)"
    " SELECT gen_random_uuid(), 'predictions', 0, n, now(), 'classifier', 8,"
    " 'ds-0123456789ab', 'car', jsonb_build_object('label', 'car'), %(probabilities)s::jsonb,"
    " (SELECT coalesce(jsonb_agg(value), '[]')"
    "  FROM (SELECT random()::real::float8 + 0 * n AS value FROM generate_series(1, %(floats)s))),"
    " encode(sha256(n::text::bytea), 'hex'), 3.2, '[0.51, 0.22, 0.31, 0.04]'"
    " FROM generate_series(1, %(rows)s) AS n"
)


def fill(own: psycopg.Connection[tuple[int, ...]]) -> None:
    """Take media through all their states, some at a time, as they come."""
    own.execute(BATCH)
    for number in range(ROUNDS):
        words = {"rows": ROWS // ROUNDS, "event": EVENT, "round": f"gate-{number}"}
        for statement in ROUND_OF_ROWS:
            own.execute(statement, words if "%(" in statement else None, prepare=False)


@pytest.fixture(scope="module")
def catalog(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[psycopg.Connection[tuple[int, ...]]]:
    home = tmp_path_factory.mktemp("rows")
    with running_stack(home, {}, "--only", "postgresql") as settings, connected(settings) as own:
        fill(own)
        yield own


def connected(settings: Settings) -> psycopg.Connection[tuple[int, ...]]:
    url = make_url(settings.postgres_url.get_secret_value()).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def row_bytes(own: psycopg.Connection[tuple[int, ...]], *tables: str) -> float:
    total = 0
    for table in tables:
        query = sql.SQL("SELECT pg_total_relation_size({})").format(sql.Literal(table))
        row = own.execute(query).fetchone()
        assert row
        total += row[0]
    return total / ROWS


@pytest.mark.parametrize(
    ("constant", "tables"),
    [
        (m.MEDIA_ROW_BYTES, ("media", "outbox", "consumed_event")),
        (m.FRAME_ROW_BYTES, ("frame",)),
        (m.LABEL_ROW_BYTES, ("annotation",)),
    ],
    ids=["media", "frame", "label"],
)
def test_rows_are_as_large_as_the_model_says(
    catalog: psycopg.Connection[tuple[int, ...]], constant: m.Constant, tables: tuple[str, ...]
) -> None:
    found = row_bytes(catalog, *tables)
    print(f"{' and '.join(tables)}: {found:.0f} bytes a row")  # noqa: T201
    assert constant.value == pytest.approx(found, rel=TOLERANCE)


@pytest.mark.parametrize("floats", [0, 96, 512])
def test_predictions_are_as_large_as_the_model_says(
    catalog: psycopg.Connection[tuple[int, ...]], floats: int
) -> None:
    catalog.execute("TRUNCATE prediction CASCADE")
    probabilities = json.dumps([0.1234567890123456] * 10)
    words = {"rows": ROWS, "floats": floats, "probabilities": probabilities}
    catalog.execute(PREDICTIONS, words, prepare=False)
    found = row_bytes(catalog, "prediction")
    print(f"prediction with {floats} floats: {found:.0f} bytes")  # noqa: T201
    said = m.PREDICTION_ROW_BYTES.value + floats * m.EMBEDDING_VALUE_BYTES.value
    assert said == pytest.approx(found, rel=TOLERANCE)
