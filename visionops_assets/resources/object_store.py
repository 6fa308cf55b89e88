"""The object store: media, shards, snapshots and model files, as bytes under keys of a bucket.

Not here: tables, which the IO manager writes (`resources/tables.py`).
"""

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from visionops_assets.errors import NotFoundError, ServerUnreachableError, VisionOpsError
from visionops_assets.settings import Settings, load_settings

PARTS_IN_FLIGHT = 4
"""Parts of 5 MiB that one asynchronous stream may hold in memory while the store is slow."""


class ObjectExistsError(VisionOpsError):
    """An object exists already, and may be written only once."""

    code = "object_exists"


@cache
def _store(settings: Settings) -> S3Store:
    options: dict[str, str | bool] = {"region": settings.s3_region}
    if settings.s3_endpoint_url:
        options |= {"endpoint": settings.s3_endpoint_url, "virtual_hosted_style_request": False}
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        options |= {
            "access_key_id": settings.s3_access_key_id.get_secret_value(),
            "secret_access_key": settings.s3_secret_access_key.get_secret_value(),
        }
    plain_http = (settings.s3_endpoint_url or "").startswith("http://")
    return S3Store(
        settings.s3_bucket,
        client_options={"allow_http": plain_http},
        retry_config={"max_retries": 3},
        **options,  # type: ignore[arg-type]
    )


class ObjectStore:
    """One S3 bucket. Address and keys come from the settings, so none shows in Dagster's UI."""

    @property
    def _bucket(self) -> S3Store:
        return _store(load_settings())

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFoundError(f"The object store has no object {key!r}.") from None
        except AlreadyExistsError:
            raise ObjectExistsError(f"Object {key!r} exists already.") from None
        except BaseError as error:
            address = load_settings().s3_endpoint_url or "Amazon S3"
            first_line = str(error).partition("\n")[0]
            raise ServerUnreachableError(
                f"The object store at {address} failed on {key!r}: {first_line}"
            ) from error

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing one that is there."""
        with self._errors(key):
            obstore.put(self._bucket, key, data)

    def create(self, key: str, data: bytes) -> None:
        """Write an object that must not exist.

        Raises:
            ObjectExistsError: it exists; nothing was written.
        """
        with self._errors(key):
            obstore.put(self._bucket, key, data, mode="create")

    def upload(self, key: str, path: Path) -> None:
        """Write a file as an object."""
        with self._errors(key):
            obstore.put(self._bucket, key, path)

    def get(self, key: str) -> bytes:
        """Read an object whole.

        Raises:
            NotFoundError: no object has this key.
        """
        with self._errors(key):
            return bytes(obstore.get(self._bucket, key).bytes())

    def get_range(self, key: str, start: int, count: int) -> bytes:
        """Read `count` bytes of an object from byte `start` on; fewer where it ends.

        Raises:
            NotFoundError: there is no object.
            ServerUnreachableError: the store failed, also when `start` lies past the object's end.
        """
        with self._errors(key):
            return bytes(obstore.get_range(self._bucket, key, start=start, length=count))

    def get_ranges(self, key: str, starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Read parts of an object, some of them in one request where they are near to each other.

        Raises:
            NotFoundError: there is no object.
            ServerUnreachableError: the store failed, also when a part lies past the object's end.
        """
        with self._errors(key):
            parts = obstore.get_ranges(self._bucket, key, starts=starts, lengths=lengths)
            return [bytes(part) for part in parts]

    def download(self, key: str, path: Path) -> str:
        """Write an object to a file, in chunks; return the SHA-256 of the received bytes, in hex.

        Raises:
            NotFoundError: no object has this key.
        """
        digest = hashlib.sha256()
        with self._errors(key), path.open("wb") as file:
            for chunk in obstore.get(self._bucket, key):
                file.write(chunk)
                digest.update(chunk)
        return digest.hexdigest()

    def size_bytes(self, key: str) -> int | None:
        """Return the size of an object in bytes, or None if no object has this key."""
        try:
            with self._errors(key):
                return int(obstore.head(self._bucket, key)["size"])
        except NotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Say whether there is an object under `key`."""
        return self.size_bytes(key) is not None

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._errors(key):
            obstore.delete(self._bucket, key)

    async def put_async(self, key: str, data: bytes) -> None:
        """Write an object, replacing one that is there, as `put` does."""
        with self._errors(key):
            await obstore.put_async(self._bucket, key, data, use_multipart=False)

    async def put_stream_async(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Write an object from chunks, in parts; when `chunks` raises, no object is left."""
        with self._errors(key):
            await obstore.put_async(self._bucket, key, chunks, max_concurrency=PARTS_IN_FLIGHT)

    async def get_async(self, key: str) -> bytes:
        """Read an object whole.

        Raises:
            NotFoundError: no object has this key.
        """
        with self._errors(key):
            result = await obstore.get_async(self._bucket, key)
            return bytes(await result.bytes_async())

    async def delete_async(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._errors(key):
            await obstore.delete_async(self._bucket, key)

    def list_keys(self, prefix: str) -> list[str]:
        """Return the keys below the folder `prefix`, in order."""
        with self._errors(prefix):
            listing = obstore.list(self._bucket, prefix)
            return sorted(entry["path"] for page in listing for entry in page)
