"""Tables and small records that one asset makes and another loads.

They lie in S3 as parquet and JSON, by asset, partition and run.

Every run writes a key of its own and never changes another's; the URI is in the materialization's
metadata. A reader takes the object of its own run, or of the runs that it retries; otherwise that
of the newest materialization.
"""

import io
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import dagster as dg
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError
from dagster_aws.s3 import S3Resource
from pydantic import BaseModel, TypeAdapter

from visionops_assets.errors import DamagedArtifactError, NotFoundError, ServerUnreachableError
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import Settings, load_settings

URI_METADATA_KEY = "uri"
TABLES_PREFIX = "tables"


@cache
def store_client(settings: Settings) -> Any:
    """Make the S3 client of this process by dagster-aws's resource. It takes 0.14 CPU-seconds."""
    key_id, secret_key = settings.s3_access_key_id, settings.s3_secret_access_key
    store = S3Resource(
        endpoint_url=settings.s3_endpoint_url or None,
        region_name=settings.s3_region,
        aws_access_key_id=key_id.get_secret_value() if key_id else None,
        aws_secret_access_key=secret_key.get_secret_value() if secret_key else None,
    )
    return store.get_client()


class TableStore(S3Resource):
    """dagster-aws's S3 resource at the address of the settings, so that no key shows in the UI."""

    def get_client(self) -> Any:
        """Return the client of this process."""
        return store_client(load_settings())


class _RunKeyedIOManager(dg.ConfigurableIOManager):
    """Writes one object per asset, partition and run."""

    s3: dg.ResourceDependency[S3Resource]

    @abstractmethod
    def _encode(self, value: Any) -> tuple[bytes, dict[str, Any]]:
        """Return the object's bytes, and metadata for people."""

    @abstractmethod
    def _decode(self, data: bytes, python_type: Any) -> Any: ...

    @property
    @abstractmethod
    def _suffix(self) -> str: ...

    def _key(self, context: dg.OutputContext) -> str:
        partition = [context.partition_key] if context.has_asset_partitions else []
        folder = "/".join([TABLES_PREFIX, *context.asset_key.path, *partition])
        return f"{folder}/{context.run_id}{self._suffix}"

    @fail_in_words
    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        data, metadata = self._encode(obj)
        key = self._key(context)
        bucket = load_settings().s3_bucket
        with _reaching(key):
            self.s3.get_client().put_object(Bucket=bucket, Key=key, Body=data)
        uri = dg.MetadataValue.path(f"s3://{bucket}/{key}")
        context.add_output_metadata({URI_METADATA_KEY: uri, **metadata})

    @fail_in_words
    def load_input(self, context: dg.InputContext) -> Any:
        key = self._written_uri(context).removeprefix("s3://").partition("/")[2]
        with _reaching(key):
            found = self.s3.get_client().get_object(Bucket=load_settings().s3_bucket, Key=key)
            data = found["Body"].read()
        try:
            return self._decode(data, context.dagster_type.typing_type)
        except (ValueError, OSError) as error:  # Those of PyArrow and pydantic are among them.
            raise DamagedArtifactError(
                f"The object {key} is not what was written. Materialize "
                f"{context.asset_key.to_user_string()} again."
            ) from error

    def _written_uri(self, context: dg.InputContext) -> str:
        records = dg.AssetRecordsFilter(
            asset_key=context.asset_key,
            asset_partitions=[context.partition_key] if context.has_asset_partitions else None,
        )
        found = context.instance.fetch_materializations(records, limit=20).records
        run = context.step_context.dagster_run
        own_runs = {run.run_id, run.parent_run_id, run.root_run_id}
        own = [record for record in found if record.run_id in own_runs]
        for record in own or found:
            materialization = record.asset_materialization
            value = materialization and materialization.metadata.get(URI_METADATA_KEY)
            if value:
                return str(value.value)
        raise NotFoundError(
            f"{context.asset_key.to_user_string()} was never materialized: materialize it first."
        )


class TableIOManager(_RunKeyedIOManager):
    """Data frames as parquet."""

    @property
    def _suffix(self) -> str:
        return ".parquet"

    def _encode(self, value: pd.DataFrame) -> tuple[bytes, dict[str, Any]]:
        return value.to_parquet(index=False), {"dagster/row_count": len(value)}

    def _decode(self, data: bytes, python_type: Any) -> pd.DataFrame:  # noqa: ARG002
        return pd.read_parquet(io.BytesIO(data))


class RecordIOManager(_RunKeyedIOManager):
    """One record of `contracts` as JSON."""

    @property
    def _suffix(self) -> str:
        return ".json"

    def _encode(self, value: BaseModel) -> tuple[bytes, dict[str, Any]]:
        record = value.model_dump(mode="json")
        return value.model_dump_json(indent=2).encode(), {"record": dg.MetadataValue.json(record)}

    def _decode(self, data: bytes, python_type: Any) -> BaseModel:
        record: BaseModel = TypeAdapter(python_type).validate_json(data)
        return record


@contextmanager
def _reaching(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            raise NotFoundError(f"The object store has no object {key!r}.") from None
        raise ServerUnreachableError(f"The object store failed on {key!r}: {error}.") from error
    except BotoCoreError as error:
        address = load_settings().s3_endpoint_url or "Amazon S3"
        raise ServerUnreachableError(
            f"The object store at {address} does not answer: {error}."
        ) from error
