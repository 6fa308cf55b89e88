"""Frees multipart uploads to the object store that were begun and never ended.

A process that dies while it writes a stream leaves one. They are not objects, so no listing of
objects shows them, but they take space. Only Amazon's own client can list them.
"""

from datetime import UTC, datetime, timedelta

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
)

from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import load_settings


def abort_unfinished(older_than: timedelta) -> int:
    """Free the uploads that were begun longer ago than `older_than`; return their number.

    Raises:
        ServerUnreachableError: the object store does not answer.
    """
    settings = load_settings()
    keys: dict[str, str] = {}
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        keys = {
            "aws_access_key_id": settings.s3_access_key_id.get_secret_value(),
            "aws_secret_access_key": settings.s3_secret_access_key.get_secret_value(),
        }
    endpoint = settings.s3_endpoint_url or None
    bucket, before, aborted = settings.s3_bucket, datetime.now(UTC) - older_than, 0
    client = boto3.client("s3", endpoint_url=endpoint, region_name=settings.s3_region, **keys)
    try:
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        for begun in [upload for page in pages for upload in page.get("Uploads", [])]:
            if begun["Initiated"] < before:
                client.abort_multipart_upload(
                    Bucket=bucket, Key=begun["Key"], UploadId=begun["UploadId"]
                )
                aborted += 1
    except (BotoCoreError, ClientError) as error:
        address = endpoint or "Amazon S3"
        raise ServerUnreachableError(f"The object store at {address} failed: {error}") from error
    return aborted
