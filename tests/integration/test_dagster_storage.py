"""Dagster's storage on a real PostgreSQL: its connections are kept, shared, and made anew."""

import multiprocessing
from multiprocessing.queues import SimpleQueue

import pytest
from sqlalchemy import text

from visionops_assets.settings import Settings
from visionops_assets.stack.dagster_storage import PooledStorage


@pytest.fixture
def url(stack: Settings) -> str:
    return stack.dagster_postgres_url.get_secret_value()


def server_process(storage: PooledStorage) -> int:
    """Return the process of PostgreSQL that answers a storage."""
    with storage._run_storage.connect() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")))


def tell_server_process(url: str, told: "SimpleQueue[int]") -> None:
    told.put(server_process(PooledStorage(url)))


def test_instances_of_a_process_share_a_connection(url: str) -> None:
    first = server_process(PooledStorage(url))
    assert {server_process(PooledStorage(url)) for _ in range(5)} == {first}


def test_a_lost_connection_is_no_error(url: str) -> None:
    storage = PooledStorage(url)
    lost = server_process(storage)
    other = PooledStorage(f"{url}?application_name=other")
    with other._run_storage.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": lost})
    assert storage.run_storage.get_runs_count() >= 0
    assert server_process(storage) != lost


def test_a_fork_has_connections_of_its_own(url: str) -> None:
    own = server_process(PooledStorage(url))
    context = multiprocessing.get_context("fork")
    told: SimpleQueue[int] = context.SimpleQueue()
    fork = context.Process(target=tell_server_process, args=(url, told))
    fork.start()
    fork.join(30)
    assert fork.exitcode == 0
    assert told.get() != own
