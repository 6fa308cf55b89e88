"""Dagster's storage in PostgreSQL, by connections that are kept.

Dagster's own connects anew for each query, some 35 times per second of an idle stack, and
PostgreSQL starts a process for each connection. That took more than half of what the stack took.
"""

import os
from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine

RECYCLE_S = 300
"""Networks forget a connection that was idle for longer; AWS's NAT gateways after 350 s."""

# A fork must not speak on the connections of its parent.
_pools: dict[tuple[str, int], Engine] = {}


class PooledStorage(DagsterPostgresStorage):
    """Dagster's storage; all instances of a process share its connections.

    Its tables are looked for, and made, by the first instance of a process alone.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        place = (postgres_url, os.getpid())
        is_first = place not in _pools
        super().__init__(postgres_url, should_autocreate_tables=is_first, inst_data=inst_data)
        if is_first:
            _pools.setdefault(place, _pool(postgres_url))
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = _pools[place]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Connect to the storage."""
        return cls(pg_url_from_config(config_value), inst_data)


def _pool(postgres_url: str) -> Engine:
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",  # as each part of the storage has it
        "max_overflow": -1,  # as many as without a pool
        "pool_pre_ping": True,  # the server may have been started anew
        "pool_recycle": RECYCLE_S,
        "pool_size": 2,
    }
    return create_engine(postgres_url, **options)
