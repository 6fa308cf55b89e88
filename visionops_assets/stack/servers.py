"""The servers of the stack, in start order."""

from collections.abc import Callable
from functools import partial

from visionops_assets.roster import ours
from visionops_assets.roster.ours import SERVICES
from visionops_assets.stack import dagster
from visionops_assets.stack.alertmanager import alertmanager
from visionops_assets.stack.mlflow import mlflow
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.postgres import postgresql
from visionops_assets.stack.prometheus import prometheus
from visionops_assets.stack.seaweedfs import seaweedfs
from visionops_assets.stack.server import Server
from visionops_assets.stack.services import describe
from visionops_assets.stack.tansu import tansu
from visionops_assets.stack.triton import triton

_DESCRIPTIONS: tuple[Callable[[Plan], Server | None], ...] = (
    seaweedfs,
    postgresql,
    tansu,
    mlflow,
    # Triton starts by files that the keeper laid out.
    partial(describe, ours.KEEPER),
    triton,
    *(partial(describe, service) for service in SERVICES if service is not ours.KEEPER),
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
