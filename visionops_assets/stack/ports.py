"""Loopback ports: the kept one first, then the default, then any that is free."""

import random
import socket
from collections.abc import Mapping

DEFAULT_PORTS: Mapping[str, int] = {
    "s3": 8333,
    "s3_grpc": 18333,
    "master": 9333,
    "master_grpc": 19333,
    "volume": 9340,
    "volume_grpc": 19340,
    "filer": 8888,
    "filer_grpc": 18888,
    "admin": 23646,
    "admin_grpc": 33646,
    "postgres": 5432,
    "kafka": 9092,
    "mlflow": 5000,
    "triton_http": 8000,
    "triton_grpc": 8001,
    "triton_metrics": 8002,
    "ingest": 8080,
    "gateway": 8081,
    "camera": 8082,
    "alerts": 8083,
    "exporter": 9100,
    "prometheus": 9090,
    "alertmanager": 9093,
    "dagster_code": 4266,
    "dagster": 3000,
}
# Below the kernel's usual range for outgoing connections, which could take a chosen port before
# its server does; chosen at random, so that two stacks that start together seldom collide.
_FREE_PORTS = range(20_000, 32_000)
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        # Connections of a stopped server that linger in TIME_WAIT must not count as taken.
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
