"""Uploads through the ingest API; the limit is bare PUTs of the same bytes to the same store.

Both use eight connections of urllib3, the HTTP library of boto3, so that the clients weigh alike.
What is compared runs on a stack of its own (store, catalog, queue, ingest, relay), because a whole
one would process the uploads between the turns. Only the delay from acknowledged to processed needs
the running stack, and leaves its uploads (source `benchmark`, no label) in it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from benchmarks.delay import measure_delay
from benchmarks.measure import Figure, Question, compare, rate_hz
from benchmarks.own_stack import own_stack
from visionops_assets.catalog import keys
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.settings import Settings

CONNECTIONS = 8
TIMEOUT_S = 60.0
SOURCE = "benchmark"
# The head of a PNG of one pixel: ingest reads no further than this, and noise does not compress.
PNG_HEAD = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55")
FEW_MEDIA, MANY_MEDIA = 1_000, 50_000
CREATED = 201

Send = Callable[[bytes], None]


def measure(settings: Settings) -> list[Figure]:
    """Measure the rate by size of file, its fall as the catalog grows, and the delay.

    Raises:
        StackError: the benchmark's own stack does not start.
        ServerUnreachableError: the running stack does not answer.
    """
    with own_stack("ingest", "relay") as own, _uploader(own) as upload, _putter(own) as put:
        figures = [
            *_rate("20 KB", 20_000, 200, 0.7, upload, put),
            *_rate("200 KB", 200_000, 100, 0.8, upload, put),
            *_rate("20 MB", 20_000_000, 12, 0.9, upload, put),
            _flatness(own, upload),
        ]
    return [*figures, *measure_delay(settings)]


def _rate(
    size: str, file_bytes: int, files: int, goal: float, upload: Send, put: Send
) -> tuple[Figure, Figure]:
    """Compare uploads with PUTs; return the figure in files and in megabytes a second."""
    question = Question(
        f"{size} uploads, {CONNECTIONS} connections",
        "uploads/s",
        f"bare PUTs to the same store, boto3, {CONNECTIONS} connections",
        goal,
    )
    figure = compare(
        question,
        ours=lambda: _send_all(_noise(file_bytes, files), upload),
        limit=lambda: _send_all(_noise(file_bytes, files), put),
    )
    megabytes = file_bytes / 1e6
    by_bytes = replace(
        figure, value=figure.value * megabytes, limit=figure.limit * megabytes, unit="MB/s"
    )
    return figure, by_bytes


def _flatness(own: Settings, upload: Send) -> Figure:
    """Compare the rate with many media files in the catalog to that with few."""
    question = Question(
        f"20 KB uploads with {MANY_MEDIA:,} media in the catalog",
        "uploads/s",
        f"the same with {FEW_MEDIA:,}",
        goal=0.8,
    )

    def rate_with(media: int) -> float:
        _fill(own, media)
        return _send_all(_noise(20_000, 200), upload)

    return compare(question, partial(rate_with, MANY_MEDIA), partial(rate_with, FEW_MEDIA))


def _fill(own: Settings, media: int) -> None:
    """Make the catalog hold this many processed media files, with their published events."""
    engine = create_engine(own.postgres_url.get_secret_value(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("TRUNCATE media, outbox CASCADE"))
        connection.execute(
            text(
                "INSERT INTO media (media_id, status, source, object_key, attempt, captured_at,"
                " lease_expires_at, stored_at, kind, content_type, sha256, bytes)"
                " SELECT gen_random_uuid(), 'processed', 'filler', 'filler/' || n, 1, now(), now(),"
                " now(), 'image', 'image/png', encode(sha256(n::text::bytea), 'hex'), 20000"
                " FROM generate_series(1, :media) AS n"
            ),
            {"media": media},
        )
        connection.execute(
            text(
                "INSERT INTO outbox (event_id, topic, message_key, payload, published_at)"
                " SELECT gen_random_uuid(), 'media', media_id::text, '{}', now() FROM media"
            )
        )
        connection.execute(text("VACUUM ANALYZE media, outbox"))
    engine.dispose()


def _noise(file_bytes: int, files: int) -> list[bytes]:
    """Make files that were never uploaded before: a known one would be answered sooner."""
    rng = np.random.default_rng()
    return [PNG_HEAD + rng.bytes(file_bytes - len(PNG_HEAD)) for _ in range(files)]


def _send_all(files: Sequence[bytes], send: Send) -> float:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return rate_hz(lambda: len(list(pool.map(send, files))))


@contextmanager
def _uploader(settings: Settings) -> Iterator[Send]:
    """Give a function that uploads one file; connections stay open."""
    engine = create_engine(settings.postgres_url.get_secret_value())
    with Session(engine) as session, session.begin():
        key = keys.replace(session, SOURCE, [Scope.INGEST])
    engine.dispose()
    url = f"{settings.ingest_url}/v1/media?source={SOURCE}"
    headers = {"Content-Type": "application/octet-stream", **keys.bearer_header(key)}

    def upload(data: bytes) -> None:
        response = http.request("POST", url, body=data, headers=headers, timeout=TIMEOUT_S)
        if response.status != CREATED:
            raise VisionOpsError(f"{url} answered {response.status}: {response.data!r}")

    with urllib3.PoolManager(maxsize=CONNECTIONS, retries=False) as http:
        yield upload


@contextmanager
def _putter(settings: Settings) -> Iterator[Send]:
    """Give a function that puts one object."""
    client = _s3_client(settings)

    def put(data: bytes) -> None:
        client.put_object(Bucket=settings.s3_bucket, Key=f"{SOURCE}/{uuid4()}", Body=data)

    try:
        yield put
    except (BotoCoreError, ClientError) as error:
        raise ServerUnreachableError(f"The object store failed: {error}") from error


def _s3_client(settings: Settings) -> Any:
    key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=key_id.get_secret_value() if key_id else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(max_pool_connections=CONNECTIONS),
    )
