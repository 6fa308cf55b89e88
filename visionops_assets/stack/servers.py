"""The servers of the stack, in start order."""

from collections.abc import Callable

from visionops_assets.stack import dagster, services
from visionops_assets.stack.alertmanager import alertmanager
from visionops_assets.stack.keeper import keeper
from visionops_assets.stack.mlflow import mlflow
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.postgres import postgresql
from visionops_assets.stack.prometheus import prometheus
from visionops_assets.stack.seaweedfs import seaweedfs
from visionops_assets.stack.server import Server
from visionops_assets.stack.tansu import tansu
from visionops_assets.stack.triton import triton

_DESCRIPTIONS: tuple[Callable[[Plan], Server | None], ...] = (
    seaweedfs,
    postgresql,
    tansu,
    mlflow,
    keeper,
    triton,
    services.ingest,
    services.relay,
    services.sweep,
    services.camera,
    services.gateway,
    services.releaser,
    services.exporter,
    services.alerts,
    alertmanager,
    prometheus,
    dagster.code_server,
    dagster.webserver,
    dagster.daemon,
)


def build_servers(plan: Plan) -> tuple[Server, ...]:
    """Describe every server, in start order, without those that this machine does not have."""
    described = (describe(plan) for describe in _DESCRIPTIONS)
    return tuple(server for server in described if server is not None)
