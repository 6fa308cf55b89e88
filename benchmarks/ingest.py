"""Uploads a second through the ingest API; the limit is bare PUTs of the same bytes to its store.

Needs a running stack, and leaves traces in it: each upload (source `benchmark`, no label) becomes a
media file and a frame, which sensors process in the minutes after. Nothing is trained on them, for
they have no labels. The bare objects are removed. The relay publishes each upload's event within
0.2 s of it: some of that work falls into the turns of the limit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import boto3  # type: ignore[import-untyped]
import httpx
import numpy as np
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from benchmarks.measure import REPEATS, Figure, Question, compare, rate_hz
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_png

CONNECTIONS = 8
UPLOADS = 120
"""Uploads of one measurement: about a second of them."""
NOISE_SIDE_PX = 82
"""Noise does not compress: a PNG of this side has 20 KB."""
KEY_PREFIX = "benchmark"
TIMEOUT_S = 60.0

Send = Callable[[bytes], None]


def measure(settings: Settings) -> list[Figure]:
    """Measure uploads of small files.

    Raises:
        ServerUnreachableError: the ingest API or the object store does not answer.
    """
    question = Question(
        f"20 KB PNG uploads, {CONNECTIONS} connections",
        "uploads/s",
        f"bare PUTs to the same store, boto3, {CONNECTIONS} connections",
        goal=0.7,
    )
    rng = np.random.default_rng()
    with _uploader(settings) as upload, _putter(settings) as put:
        batches = [_noise_files(rng) for _ in range(1 + REPEATS)]
        return [
            compare(
                question,
                ours=partial(_send_next, iter(batches), upload),
                limit=partial(_send_next, iter(batches), put),
            )
        ]


def _noise_files(rng: np.random.Generator) -> list[bytes]:
    """Make files that were never uploaded before: a known one would be answered sooner."""
    shape = (UPLOADS, NOISE_SIDE_PX, NOISE_SIDE_PX, 3)
    return [encode_png(pixels) for pixels in rng.integers(0, 256, shape, dtype=np.uint8)]


def _send_next(batches: Iterator[Sequence[bytes]], send: Send) -> float:
    return rate_hz(partial(_send_all, next(batches), send))


def _send_all(files: Iterable[bytes], send: Send) -> int:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return len(list(pool.map(send, files)))


@contextmanager
def _uploader(settings: Settings) -> Iterator[Send]:
    """Give a function that uploads one file; connections stay open."""
    url = f"{settings.ingest_url}/v1/media"
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)

    def upload(data: bytes) -> None:
        upload_file = {"file": ("noise.png", data, "image/png")}
        response = http.post(url, data={"source": "benchmark"}, files=upload_file)
        if response.status_code != httpx.codes.CREATED:
            raise VisionOpsError(f"{url} answered {response.status_code}: {response.text}")

    with httpx.Client(limits=limits, timeout=TIMEOUT_S) as http:
        try:
            http.get(f"{settings.ingest_url}/healthz")
            yield upload
        except httpx.TransportError as error:
            raise ServerUnreachableError(
                f"{url} does not answer: {error}. Start the stack with `visionops up`."
            ) from error


@contextmanager
def _putter(settings: Settings) -> Iterator[Send]:
    """Give a function that puts one object; all of them are removed at the end."""
    client = _s3_client(settings)

    def put(data: bytes) -> None:
        key = f"{KEY_PREFIX}/{uuid4()}"
        client.put_object(Bucket=settings.s3_bucket, Key=key, Body=data)

    try:
        yield put
    except (BotoCoreError, ClientError) as error:
        raise ServerUnreachableError(f"The object store failed: {error}") from error
    finally:
        store = ObjectStore()
        for key in store.list_keys(KEY_PREFIX):
            store.delete(key)


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
