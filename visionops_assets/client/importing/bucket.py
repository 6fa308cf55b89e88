"""A prefix of an S3 bucket as a place to import from.

It uses boto3, unlike other rooms: boto3 knows AWS's whole chain of credentials, and lists keys that
obstore takes for invalid paths (and then ends the whole listing).
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
)
from pydantic import SecretStr

from visionops_assets.client.importing.listing import Item, Listing, is_hidden
from visionops_assets.errors import ContentChangedError, InvalidRequestError
from visionops_client.addresses import is_loopback
from visionops_client.content import CHUNK_BYTES, Content
from visionops_client.retrying import TemporaryError

_ERROR_BY_STATUS: dict[int, type[Exception]] = {
    403: PermissionError,
    404: FileNotFoundError,
    412: ContentChangedError,
}
_SERVER_ERROR = 500


@dataclass(frozen=True)
class AccessKey:
    """Credentials for one endpoint. Without any, AWS's chain is used: variables, profile, role."""

    access_key_id: SecretStr
    secret_access_key: SecretStr


class Bucket:
    """The objects whose keys begin with the prefix of an address `s3://bucket/prefix`.

    Raises:
        InvalidRequestError: the address names no bucket.
    """

    def __init__(
        self,
        address: str,
        *,
        connections: int,
        endpoint_url: str | None = None,
        access_key: AccessKey | None = None,
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc:
            raise InvalidRequestError(f"An address in S3 is s3://bucket/prefix, not {address}")
        self._bucket = parts.netloc
        # Here `?` and `#` do not begin a query or fragment: they are part of the key.
        self._prefix = address.removeprefix(f"s3://{self._bucket}").removeprefix("/")
        self._folder = self._prefix[: self._prefix.rfind("/") + 1]
        self._endpoint_url = endpoint_url
        self._s3 = _connect(endpoint_url, access_key, connections)

    @property
    def address(self) -> str:
        """Return endpoint, bucket and prefix."""
        return f"{self._endpoint_url or 's3:/'}/{self._bucket}/{self._prefix}"

    def list_files(self) -> Listing:
        """List the prefix, in the order of the keys. Keys that end in `/` stand for folders."""
        listing = Listing()
        with _errors(self.address):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for entry in (entry for page in pages for entry in page.get("Contents", ())):
                path = entry["Key"].removeprefix(self._folder)
                if path.endswith("/") or not path:
                    continue
                if is_hidden(path):
                    listing.left_out["hidden"] += 1
                    continue
                listing.items.append(
                    Item(path, entry["Size"], entry["ETag"], entry["LastModified"])
                )
        return listing

    def open(self, item: Item) -> Content:
        """Make an object's bytes readable. The store is not asked yet."""
        return _ObjectContent(self._s3, self._bucket, self._folder + item.path, item)


@dataclass(frozen=True)
class _ObjectContent:
    """An object of the version that was listed; one chunk at a time is in memory."""

    s3: Any
    bucket: str
    key: str
    item: Item

    @property
    def size_bytes(self) -> int:
        return self.item.size_bytes

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        whole = start == 0 and stop is None
        last = "" if stop is None else stop - 1
        options = {} if whole else {"Range": f"bytes={start}-{last}"}
        with _errors(self.key):
            answer = self.s3.get_object(
                Bucket=self.bucket, Key=self.key, IfMatch=self.item.version, **options
            )
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK_BYTES)


def _connect(endpoint_url: str | None, access_key: AccessKey | None, connections: int) -> Any:
    keys = {}
    if access_key:
        keys = {
            "aws_access_key_id": access_key.access_key_id.get_secret_value(),
            "aws_secret_access_key": access_key.secret_access_key.get_secret_value(),
        }
    local = endpoint_url is not None and is_loopback(endpoint_url)
    config = Config(
        max_pool_connections=connections,
        retries={"mode": "standard"},
        proxies={} if local else None,
    )
    with _errors(endpoint_url or "Amazon S3"):
        return boto3.session.Session().client(
            "s3", endpoint_url=endpoint_url, config=config, **keys
        )


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn boto3's errors into errors of files (OSError), or into temporary ones."""
    try:
        yield
    except NoCredentialsError:
        raise PermissionError(
            f"{what}: there are no AWS credentials. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        ) from None
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status >= _SERVER_ERROR:
            raise TemporaryError(f"{what}: {error}") from error
        raise _ERROR_BY_STATUS.get(status, OSError)(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise TemporaryError(f"{what}: {error}") from error
