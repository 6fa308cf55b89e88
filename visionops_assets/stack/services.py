"""Our own services: ingest, relay, sweep, cameras, the gateway, the releaser and so on."""

import sys
from dataclasses import replace

from visionops_assets.settings import heartbeat_file, secret_environment
from visionops_assets.stack import postgres, seaweedfs, tansu, triton
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, beats
from visionops_assets.stack.server import Server

INGEST = "ingest"
RELAY = "relay"
SWEEP = "sweep"
RELEASER = "releaser"
CAMERA = "camera"
GATEWAY = "gateway"
EXPORTER = "exporter"
ALERTS = "alerts"
_SILENCE_S = 180.0


def ingest(plan: Plan) -> Server:
    """Describe the ingest API. It does not need the queue: the relay owes the events to it."""
    needs = (seaweedfs.NAME, postgres.NAME)
    secrets = ("postgres_url", "s3_access_key_id", "s3_secret_access_key")
    return _http_service(plan, INGEST, "ingest_url", needs, secrets)


def camera(plan: Plan) -> Server:
    """Describe the camera service."""
    secrets = ("postgres_url", "api_key")
    return _http_service(plan, CAMERA, "camera_url", (postgres.NAME, INGEST), secrets)


def gateway(plan: Plan) -> Server:
    """Describe the gateway of the served model, by HTTP and gRPC."""
    needs = (triton.NAME, postgres.NAME)
    described = _http_service(plan, GATEWAY, "gateway_url", needs, ("postgres_url",))
    if described.is_external and not plan.is_external("gateway_grpc_address"):
        return described
    return replace(described, grpc_address=plan.settings.gateway_grpc_address)


def exporter(plan: Plan) -> Server:
    """Describe the Prometheus exporter."""
    needs = (postgres.NAME, tansu.NAME)
    return _http_service(plan, EXPORTER, "exporter_url", needs, ("postgres_url",))


def alerts(plan: Plan) -> Server:
    """Describe the service that notes the alerts of Alertmanager."""
    secrets = ("postgres_url", "alerts_key")
    return _http_service(plan, ALERTS, "alerts_url", (postgres.NAME,), secrets)


def relay(plan: Plan) -> Server:
    """Describe the relay."""
    needs = (postgres.NAME, tansu.NAME)
    secrets = ("postgres_url", "kafka_password")
    return _beside_ingest(plan, RELAY, needs, secrets, patience_s=120)


def sweep(plan: Plan) -> Server:
    """Describe the sweep."""
    secrets = ("postgres_url", "s3_access_key_id", "s3_secret_access_key")
    needs = (seaweedfs.NAME, postgres.NAME)
    # After a crash, a pass may have much to do, and take minutes.
    return _beside_ingest(plan, SWEEP, needs, secrets, patience_s=1_800)


def releaser(plan: Plan) -> Server:
    """Describe the releaser. It runs where Dagster's code does, and does not need Dagster."""
    if plan.is_external("dagster_code_host"):
        return Server(name=RELEASER, address="", probe=lambda _: True)
    secrets = ("postgres_url", "s3_access_key_id", "s3_secret_access_key", "triton_admin_key")
    return Server(
        name=RELEASER,
        address="",
        command=_module(RELEASER),
        env=secret_environment(plan.settings, *secrets),
        needs=(seaweedfs.NAME, postgres.NAME, triton.NAME),
        probe=beats(heartbeat_file(plan.settings, RELEASER)),
        # It may be in the middle of a switch.
        stop_timeout_s=20,
    )


def _beside_ingest(
    plan: Plan, name: str, needs: tuple[str, ...], secrets: tuple[str, ...], patience_s: float
) -> Server:
    """Describe a service without an address: it runs wherever the ingest API does."""
    if plan.is_external("ingest_url"):
        return Server(name=name, address="", probe=lambda _: True)
    return Server(
        name=name,
        address="",
        command=_module(name),
        env=secret_environment(plan.settings, *secrets),
        needs=needs,
        probe=beats(heartbeat_file(plan.settings, name)),
        silence_s=max(_SILENCE_S, 3 * plan.settings.sweep_interval_s),
        patience_s=patience_s,
    )


def _http_service(
    plan: Plan, name: str, setting: str, needs: tuple[str, ...], secrets: tuple[str, ...]
) -> Server:
    url = str(getattr(plan.settings, setting))
    if plan.is_external(setting):
        return Server(name=name, address=url, probe=accepts_connections(url))
    return Server(
        name=name,
        address=url,
        command=_module(name),
        env=secret_environment(plan.settings, *secrets),
        needs=needs,
        probe=answers_http(f"{url}/healthz"),
    )


def _module(service: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"visionops_assets.services.{service}")
