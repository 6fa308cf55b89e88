"""Our own services as servers of the stack, as `roster/ours.py` declares them."""

import sys

from visionops_assets.roster.service import Heartbeat, Need, Service
from visionops_assets.settings import heartbeat_file, secret_environment
from visionops_assets.stack import postgres, seaweedfs, tansu, triton
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, beats
from visionops_assets.stack.server import Server

_SERVERS = {
    Need.STORE: seaweedfs.NAME,
    Need.CATALOG: postgres.NAME,
    Need.QUEUE: tansu.NAME,
    Need.TRITON: triton.NAME,
}
_SILENCE_S = 180.0
_TURNS = 3


def describe(service: Service, plan: Plan) -> Server:
    """Describe a service by its declaration."""
    if service.heartbeat:
        return _beating(service, service.heartbeat, plan)
    return _answering(service, plan)


def _answering(service: Service, plan: Plan) -> Server:
    """Describe a service with addresses. The first one's setting says whether others run it."""
    first, *others = service.addresses
    url = str(getattr(plan.settings, first.setting))
    is_external = plan.is_external(first.setting)
    # Of a service of elsewhere, an address that is not given is not known.
    known = [each for each in others if not is_external or plan.is_external(each.setting)]
    grpc_address = str(getattr(plan.settings, known[0].setting)) if known else ""
    if is_external:
        probe = accepts_connections(url)
        return Server(name=service.name, address=url, grpc_address=grpc_address, probe=probe)
    return Server(
        name=service.name,
        address=url,
        grpc_address=grpc_address,
        command=_command(service),
        env=secret_environment(plan.settings, *service.secrets),
        needs=_needs(service),
        probe=answers_http(f"{url}/healthz"),
        stop_timeout_s=service.stop_timeout_s,
    )


def _beating(service: Service, heartbeat: Heartbeat, plan: Plan) -> Server:
    """Describe a service without an address: it runs wherever another server does."""
    if plan.is_external(heartbeat.beside):
        return Server(name=service.name, address="", probe=lambda _: True)
    setting = heartbeat.turn_setting
    turn_s = float(getattr(plan.settings, setting)) if setting else 0.0
    return Server(
        name=service.name,
        address="",
        command=_command(service),
        env=secret_environment(plan.settings, *service.secrets),
        needs=_needs(service),
        probe=beats(heartbeat_file(plan.settings, service.name)),
        silence_s=max(_SILENCE_S, _TURNS * turn_s),
        patience_s=heartbeat.patience_s,
        stop_timeout_s=service.stop_timeout_s,
    )


def _needs(service: Service) -> tuple[str, ...]:
    """Name the servers of the stack that must be ready before."""
    return tuple(_SERVERS[Need(need)] if need in set(Need) else need for need in service.needs)


def _command(service: Service) -> tuple[str, ...]:
    return (sys.executable, "-m", service.module)
