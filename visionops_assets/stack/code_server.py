"""Dagster's code server. Its runs are forks of a process that has imported the definitions.

`python -m visionops_assets.stack.code_server`, with the options of `dagster api grpc`. That starts
each run as a new interpreter, and imports take most of a short run's time. On a cluster, a run is a
pod.
"""

import json
import multiprocessing
from multiprocessing import forkserver
from typing import Any

import dagster as dg
from dagster._cli.api import grpc_command
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc import server

from visionops_assets.models import default_model
from visionops_assets.stack.earlier_names import carry_over

# This module is imported again by each run, as that of its parent; the storages once they are used.
PRELOADED = (
    "visionops_assets.stack.code_server",
    "dagster_postgres",
    "psycopg",
    "visionops_assets.definitions",
    "visionops_assets.stack.warm_clients",
)


class ForkingCodeServer(server.DagsterApiServer):
    """Starts runs by the fork server of `multiprocessing`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mp_ctx = multiprocessing.get_context("forkserver")  # type: ignore[assignment]


def fail_lost_runs(instance: dg.DagsterInstance) -> int:
    """Mark every run of the code server before this one as failed, if it counts as under way.

    Those runs ended with it. Dagster's launcher cannot tell: they would count as started for hours,
    and take places from other runs. An attached `dagster dev` has a server of its own, on a socket,
    for its runs. Returns how many were marked.
    """
    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    found = instance.get_runs(dg.RunsFilter(statuses=under_way))
    lost = [run for run in found if not _is_on_a_socket(run)]
    for run in lost:
        instance.report_run_failed(run, "The process of this run ended with its code server.")
    return len(lost)


def _is_on_a_socket(run: dg.DagsterRun) -> bool:
    server_of_run = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    return bool(server_of_run.get("socket"))


def main() -> None:
    """Serve the definitions until this process is told to stop."""
    forkserver.set_forkserver_preload(list(PRELOADED))
    # Started now, so that both processes import at the same time.
    forkserver.ensure_running()
    with dg.DagsterInstance.get() as instance:
        fail_lost_runs(instance)
        carry_over(instance, default_model().name)
    server.DagsterApiServer = ForkingCodeServer  # type: ignore[misc]
    grpc_command()


if __name__ == "__main__":
    main()
