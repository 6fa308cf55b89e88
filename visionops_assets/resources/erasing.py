"""Removes objects for good: all versions of a key, and the markers of its deletions.

`ObjectStore.delete` leaves the bytes where the bucket keeps versions. This module is for erasure
alone, which has credentials of its own. Only Amazon's own client can list versions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from visionops_assets.errors import (
    ErasureForbiddenError,
    InvalidRequestError,
    ServerUnreachableError,
)
from visionops_assets.settings import Settings, load_settings

MAX_KEYS = 1_000
"""Versions that S3 lists, and deletes, in one request."""
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "403"})

Version = tuple[str, str]
"""A key and the id of a version."""


class Eraser:
    """Removes objects of the bucket with all their versions. What is gone already is no error."""

    def __init__(self, client: Any = None) -> None:
        """Connect with the credentials of erasure, or with `client`, one of boto3 for S3."""
        settings = load_settings()
        self._bucket = settings.s3_bucket
        self._address = settings.s3_endpoint_url or "Amazon S3"
        with self._errors(""):
            self._client = client or _connect(settings)

    def erase(self, key: str) -> int:
        """Remove the object `key`; return the number of versions and markers that were removed.

        Raises:
            ErasureForbiddenError: the store forbids it to these credentials.
            ServerUnreachableError: the store does not answer, or keeps what it was told to remove.
        """
        return self._erase(key, exact=True)

    def erase_below(self, prefix: str) -> int:
        """Remove all objects below the folder `prefix`; return the number of versions and markers.

        Raises:
            InvalidRequestError: `prefix` is empty, which would be the whole bucket.
            ErasureForbiddenError: the store forbids it to these credentials.
            ServerUnreachableError: the store does not answer, or keeps what it was told to remove.
        """
        folder = prefix.strip("/")
        if not folder:
            raise InvalidRequestError("Name the folder to erase: an empty one is the whole bucket.")
        return self._erase(f"{folder}/", exact=False)

    def _erase(self, prefix: str, *, exact: bool) -> int:
        erased = 0
        with self._errors(prefix):
            for versions in self._pages(prefix, exact):
                self._delete(versions)
                erased += len(versions)
            if next(self._pages(prefix, exact), None):
                raise ServerUnreachableError(
                    f"The object store at {self._address} still has versions of {prefix!r} after "
                    "their deletion. Try again; if it stays so, something writes there, or a lock "
                    "of the bucket holds them."
                )
        return erased

    def _pages(self, prefix: str, exact: bool) -> Iterator[list[Version]]:
        """List what is to be removed, at most 1,000 versions at a time; no page is empty."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        for page in pages:
            listed = page.get("Versions", []) + page.get("DeleteMarkers", [])
            keys = [each["Key"] for each in listed]
            found = [
                (each["Key"], each.get("VersionId") or "null")
                for each in listed
                if each["Key"] == prefix or not exact
            ]
            if found:
                yield found
            # Keys are listed in order: after the first longer one there is nothing of this key.
            if exact and any(key != prefix for key in keys):
                return

    def _delete(self, versions: list[Version]) -> None:
        for start in range(0, len(versions), MAX_KEYS):
            objects = [
                {"Key": key, "VersionId": version}
                for key, version in versions[start : start + MAX_KEYS]
            ]
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for failed in answer.get("Errors", []):
                if failed.get("Code") != "NoSuchVersion":
                    self._refuse(failed["Key"], failed.get("Code", ""), failed.get("Message", ""))

    def _refuse(self, key: str, code: str, message: str) -> None:
        if code in _DENIED:
            raise ErasureForbiddenError(
                f"The object store at {self._address} forbids to remove versions of {key!r}: "
                f"{message} Give VISIONOPS_S3_ERASURE_ACCESS_KEY_ID and its secret, or run by the "
                "role of erasure, which may list and delete versions."
            )
        raise ServerUnreachableError(
            f"The object store at {self._address} failed on {key!r}: {code} {message}"
        )

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            described = error.response.get("Error", {})
            self._refuse(key, described.get("Code", ""), described.get("Message", str(error)))
        except BotoCoreError as error:
            raise ServerUnreachableError(
                f"The object store at {self._address} failed: {error}"
            ) from error


def _connect(settings: Settings) -> Any:
    pairs = (
        (settings.s3_erasure_access_key_id, settings.s3_erasure_secret_access_key),
        (settings.s3_access_key_id, settings.s3_secret_access_key),
    )
    keys: dict[str, str] = {}
    for name, secret in pairs:
        if name and secret and not keys:
            keys = {
                "aws_access_key_id": name.get_secret_value(),
                "aws_secret_access_key": secret.get_secret_value(),
            }
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url or None,
        region_name=settings.s3_region,
        config=Config(retries={"mode": "standard"}),
        **keys,
    )
