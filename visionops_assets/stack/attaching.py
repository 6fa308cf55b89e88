"""The instance of `dagster dev` beside a running stack: one storage, one daemon that does the work.

`deploy/dagster-attached.yaml` names it. Addresses and keys come from the settings. So a shell needs
only VISIONOPS_HOME and DAGSTER_HOME, and no secret is in a file of Dagster's, or on a command line,
where Dagster puts the configuration of an instance.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import boto3
import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._daemon.asset_daemon import AssetDaemon
from dagster._serdes import ConfigurableClassData
from dagster_aws.s3 import S3ComputeLogManager
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import OperationalError

from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import load_settings
from visionops_assets.stack.dagster_storage import PooledStorage
from visionops_assets.stack.paths import Paths

RUN_LOGS_PREFIX = "dagster"
"""Folder of the bucket, as in deploy/dagster.yaml."""


class AttachedInstance(dg.DagsterInstance):
    """Leaves sensors, schedules, backfills, the run queue and lost runs to the stack's daemon.

    Two daemons on one storage would tick each sensor twice, and start a queued run twice. `dagster
    dev` ends if its daemon has no work at all. So it gets the automation conditions, and no asset
    has one.
    """

    def get_required_daemon_types(self) -> Sequence[str]:
        """Name the daemons that `dagster dev` runs."""
        return [AssetDaemon.daemon_type()]

    @property
    def daemon_skip_heartbeats_without_errors(self) -> bool:
        """Return no: the stack's daemon gives the signs of life."""
        return True

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Return the fields of `instance_class` in dagster.yaml beside the class: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Return the parts of an instance that dagster.yaml does not name: Dagster's own."""
        return InstanceRef.config_defaults(base_dir)


class AttachedStorage(PooledStorage):
    """Dagster's storage in PostgreSQL, at the address of the settings."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Return what the dagster.yaml configures: nothing."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> Self:
        """Connect to the storage.

        Raises:
            ServerUnreachableError: PostgreSQL does not answer.

        """
        url = load_settings().dagster_postgres_url.get_secret_value()
        try:
            return cls(url, inst_data)
        except (OperationalError, DagsterPostgresException):
            raise ServerUnreachableError(
                "The storage of Dagster does not answer. Run `visionops up`, or unset DAGSTER_HOME "
                "to work without a stack."
            ) from None


class AttachedLogs(S3ComputeLogManager):
    """The output of runs, kept in the bucket of the settings."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Return what the dagster.yaml configures: nothing."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> Self:
        """Make the manager. It does not ask the store anything yet."""
        settings = load_settings()
        keys = (settings.s3_access_key_id, settings.s3_secret_access_key)
        # The manager has no parameter for them: it uses the session of the process.
        boto3.setup_default_session(
            region_name=settings.s3_region,
            aws_access_key_id=keys[0] and keys[0].get_secret_value(),
            aws_secret_access_key=keys[1] and keys[1].get_secret_value(),
        )
        return cls(
            bucket=settings.s3_bucket,
            prefix=RUN_LOGS_PREFIX,
            # Where the logs of the stack's runs lie until they end.
            local_dir=str(Paths(settings.home).dagster),
            endpoint_url=settings.s3_endpoint_url or None,
            inst_data=inst_data,
        )
