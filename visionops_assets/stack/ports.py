"""The loopback ports of the stack: who may use each, and how a free one is chosen.

`PORTS` is the one list of them: ports are chosen from it, the documentation shows it, and a test
holds every port that the stack's processes listen on against it.
"""

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from visionops_assets.roster.ours import SERVICES
from visionops_assets.roster.service import Guard


@dataclass(frozen=True)
class Port:
    """One port: its number unless that is taken, who listens, and its guard in one sentence."""

    number: int
    server: str
    guard: Guard
    reason: str


_CERTIFICATE = "The certificate of the store, made at each start; only its own parts have the key."
_NOT_HTTP = "A web page cannot speak its protocol."

PORTS: Mapping[str, Port] = {
    "s3": Port(8333, "seaweedfs", Guard.CREDENTIAL, "Requests are signed with the keys of S3."),
    "s3_grpc": Port(18333, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "master": Port(9333, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "master_grpc": Port(19333, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "volume": Port(9340, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "volume_grpc": Port(19340, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "filer": Port(8888, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "filer_grpc": Port(18888, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    # Listens even without its user interface.
    "admin": Port(23646, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "admin_grpc": Port(33646, "seaweedfs", Guard.CREDENTIAL, _CERTIFICATE),
    "postgres": Port(5432, "postgresql", Guard.CREDENTIAL, "A role and its password."),
    "kafka": Port(
        9092,
        "tansu",
        Guard.EXEMPT,
        f"{_NOT_HTTP} Other users of the machine can read and write its topics: Tansu's users are "
        "not set up. What it announces is looked up in the catalog.",
    ),
    "mlflow": Port(
        5000,
        "mlflow",
        Guard.OWN_PAGES,
        "MLflow refuses other hosts, and changes by foreign pages. It has no login.",
    ),
    "triton_http": Port(
        8000, "triton", Guard.CREDENTIAL, "The admin key, except for health: clients use gRPC."
    ),
    "triton_grpc": Port(
        8001,
        "triton",
        Guard.EXEMPT,
        f"{_NOT_HTTP} Predictions, health, and to read metadata and configurations of models are "
        "open, so that the gateway needs no key; everything else wants the admin key.",
    ),
    "triton_metrics": Port(8002, "triton", Guard.EXEMPT, "Numbers to read, nothing to change."),
    **{
        address.name: Port(address.number, service.name, address.guard, address.reason)
        for service in SERVICES
        for address in service.addresses
    },
    "prometheus": Port(
        9090,
        "prometheus",
        Guard.EXEMPT,
        "Numbers to read, nothing to change: its API for changes is off.",
    ),
    "alertmanager": Port(
        9093,
        "alertmanager",
        Guard.CREDENTIAL,
        "Its own certificate, `<home>/prometheus/alertmanager.pem`, which Prometheus shows.",
    ),
    "dagster_code": Port(
        4266,
        "dagster-code",
        Guard.EXEMPT,
        f"{_NOT_HTTP} Dagster's code servers know no credential, so other users of the machine can "
        "start runs of our definitions.",
    ),
    "dagster": Port(
        3000,
        "dagster-webserver",
        Guard.OWN_PAGES,
        "Other hosts and pages of elsewhere are refused, and GraphQL but by POST of JSON. It has "
        "no login.",
    ),
}
DEFAULT_PORTS: Mapping[str, int] = {name: port.number for name, port in PORTS.items()}
# The range lies below the kernel's usual one for outgoing connections, which could take a chosen
# port before its server does. Ports are chosen at random, so that two stacks that start together
# seldom collide.
_FREE_PORTS = range(20_000, 32_000)
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        # Connections of a stopped server, still in TIME_WAIT, must not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(kept: Mapping[str, int]) -> dict[str, int]:
    """Choose a distinct free port for each name of `DEFAULT_PORTS`.

    `kept` are the ports chosen the last time. Raises OSError if no free port is found.
    """
    chosen: dict[str, int] = {}
    for name, default in DEFAULT_PORTS.items():
        candidates = (kept.get(name, default), default)
        taken = set(chosen.values())
        chosen[name] = next(
            (port for port in candidates if port not in taken and is_free(port)), None
        ) or _any_free(taken)
    return chosen


def _any_free(taken: set[int]) -> int:
    for port in random.sample(_FREE_PORTS, _ATTEMPTS):
        if port not in taken and is_free(port):
            return port
    raise OSError(
        f"no free port among {_ATTEMPTS} tried from {_FREE_PORTS[0]} to {_FREE_PORTS[-1]}"
    )
