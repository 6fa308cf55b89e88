"""Makes the rows of a large installation, by which traces are timed and their plans looked at.

Each file has one frame, and the first one is a video of a thousand; all are labelled, in two
classes. Frames lie in shards of `PER_BATCH`, by `shard_key`. Each of twenty snapshots holds
more files than the one before, and a version was trained on each; the last one made half of the
predictions. Ids follow from numbers: `uuid_of("media", 7)`.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

SNAPSHOTS = 20
VIDEO_FRAMES = 1_000
MODEL = "classifier"
PER_BATCH = 4_000
FRAME_BYTES = 1_000
"""Of each frame in its shard."""

_STATEMENTS = (
    """
    INSERT INTO media_batch (batch_key, topic, topic_partition, start_offset, end_offset)
    SELECT 'media-0-' || n, 'media', 0, n * :batch, (n + 1) * :batch
    FROM generate_series(0, :files / :batch) AS n
    """,
    """
    INSERT INTO media (media_id, status, source, filename, object_key, attempt, lease_expires_at,
        captured_at, stored_at, kind, content_type, sha256, bytes)
    SELECT md5('media-' || n)::uuid, 'processed', 'gate-' || n % 10, n || '.jpg', 'media/' || n, 1,
        now(), now(), now(), 'image', 'image/jpeg', repeat(md5(n::text), 2), 50000
    FROM generate_series(1, :files) AS n
    """,
    """
    INSERT INTO consumed_event (event_id, topic, topic_partition, topic_offset, media_id, batch_key)
    SELECT md5('event-' || n)::uuid, 'media', 0, n, md5('media-' || n)::uuid,
        'media-0-' || n / :batch
    FROM generate_series(1, :files) AS n
    """,
    """
    INSERT INTO frame (frame_id, media_id, spec_id, frame_index, time_s, perceptual_hash, shard_key,
        shard_offset, frame_bytes, batch_key, content_hash)
    SELECT md5('frame-' || n)::uuid, md5('media-' || greatest(1, n - :video))::uuid, :spec,
        least(n - 1, :video) % (:video + 1) * (n <= :video + 1)::int, 0,
        left(md5('hash-' || greatest(1, n - :video)), 16),
        'frames/made/' || n / :batch || '/made.tar', n % :batch * :bytes, :bytes,
        'media-0-' || greatest(1, n - :video) / :batch,
        (CAST(:hashes AS text[]))[n % :batch % :looks + 1]
    FROM generate_series(1, :files + :video) AS n
    """,
    """
    INSERT INTO annotation (media_id, payload, origin, author)
    SELECT md5('media-' || n)::uuid,
        jsonb_build_object('label', CASE n % 2 WHEN 0 THEN 'car' ELSE 'van' END), 'upload', 'camera'
    FROM generate_series(1, :files) AS n
    """,
    """
    INSERT INTO snapshot (snapshot_id, model_name, watermark, spec_id, spec, classes, train_frames,
        holdout_frames, object_prefix, created_at, place)
    SELECT 'ds-' || n, :model, now() - interval '1 day' * (:snapshots - n), :spec, '{}',
        '["car", "van"]', :files / :snapshots * n, 0, 'snapshots/ds-' || n,
        now() - interval '1 day' * (:snapshots - n), n
    FROM generate_series(1, :snapshots) AS n
    """,
    """
    INSERT INTO snapshot_media (model_name, from_place, media_id, spec_id, side, frames)
    SELECT :model, ceil(n * :snapshots / CAST(:files AS float)), md5('media-' || n)::uuid, :spec,
        'train', int4multirange(int4range(0, CASE n WHEN 1 THEN :video + 1 ELSE 1 END))
    FROM generate_series(1, :files) AS n
    """,
    """
    INSERT INTO trained_version (model_name, model_version, snapshot_id, mlflow_run_id,
        dagster_run_id, registered_at)
    SELECT :model, n, 'ds-' || n, md5('mlflow-' || n), md5('run-' || n)::uuid,
        now() - interval '1 day' * (:snapshots - n)
    FROM generate_series(1, :snapshots) AS n
    """,
    """
    INSERT INTO release (model_name, model_version, snapshot_id, manifest_sha256, released_at)
    SELECT :model, n, 'ds-' || n, '', now() - interval '1 day' * (:snapshots - n)
    FROM generate_series(1, :snapshots) AS n
    """,
    """
    INSERT INTO prediction (prediction_id, topic, topic_partition, topic_offset, predicted_at,
        model_name, model_version, snapshot_id, label, probabilities, embedding, image_sha256,
        latency_ms)
    SELECT md5('prediction-' || n)::uuid, 'predictions', 0, n, now() - interval '1 s' * n, :model,
        CASE n % 2 WHEN 0 THEN :snapshots ELSE n % (:snapshots - 1) + 1 END, 'ds-1', 'car',
        '[0.9, 0.1]', '[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]', repeat(md5(n::text), 2), 5
    FROM generate_series(1, :predictions) AS n
    """,
    """
    INSERT INTO decision (model_name, model_version, release_id, outcome, reason, evidence,
        dagster_run_id)
    SELECT :model, n % :snapshots + 1, (SELECT min(release_id) FROM release), 'wait', 'calm', '{}',
        md5('run-' || n)::uuid
    FROM generate_series(1, :snapshots * 1000) AS n
    """,
    """
    INSERT INTO labelling_batch (model_name, model_version, decision_id, closed_at)
    SELECT :model, 1, decision_id, now() FROM decision ORDER BY decision_id LIMIT 100
    """,
    """
    INSERT INTO labelling_item (batch_id, prediction_id)
    SELECT batch_id, md5('prediction-' || batch_id * 50 % :predictions + n)::uuid
    FROM labelling_batch, generate_series(1, 50) AS n
    """,
)
ANALYZED = ("media", "frame", "prediction", "snapshot_media", "consumed_event", "annotation")


def uuid_of(kind: str, number: int) -> UUID:
    """Return the id of a row by its number."""
    return UUID(hashlib.md5(f"{kind}-{number}".encode(), usedforsecurity=False).hexdigest())


def shard_keys(files: int) -> list[str]:
    """Return the keys of the shards that hold the frames of so many files."""
    shards = (files + VIDEO_FRAMES - 1) // PER_BATCH + 1
    return [f"frames/made/{number}/made.tar" for number in range(shards)]


def make_rows(
    connection: Connection,
    files: int,
    predictions: int,
    spec_id: str = "pp-1",
    hashes: Sequence[str] = ("",),
) -> None:
    """Fill the tables of an empty catalog, and let PostgreSQL know of it.

    `hashes` are those of the frames in a shard, again and again.
    """
    values = {
        "files": files,
        "predictions": predictions,
        "snapshots": SNAPSHOTS,
        "video": VIDEO_FRAMES - 1,
        "batch": PER_BATCH,
        "model": MODEL,
        "spec": spec_id,
        "bytes": FRAME_BYTES,
        "hashes": list(hashes),
        "looks": len(hashes),
    }
    for statement in _STATEMENTS:
        wanted = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(text(statement), wanted)
    for table in ANALYZED:
        connection.execute(text(f"ANALYZE {table}"))
