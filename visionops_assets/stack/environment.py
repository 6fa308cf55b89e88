"""`<home>/stack.env`: the ports, addresses and generated credentials of the local servers."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from visionops_assets.roster.ours import SERVICES
from visionops_assets.stack.paths import write_private
from visionops_assets.stack.ports import DEFAULT_PORTS, choose_ports

_PORT_PREFIX = "VISIONOPS_STACK_PORT_"
_POSTGRES_ROLE = "visionops"
_POSTGRES_PASSWORD = "VISIONOPS_STACK_POSTGRES_PASSWORD"  # noqa: S105 - its name
# Settings that belong to a server's address: none is written if that address is given.
_FOLLOWERS = {
    "s3_access_key_id": "s3_endpoint_url",
    "s3_secret_access_key": "s3_endpoint_url",
    "kafka_idempotent_producer": "kafka_bootstrap_servers",
    "triton_http_url": "triton_grpc_address",
    "triton_metrics_url": "triton_grpc_address",
    "triton_admin_key": "triton_grpc_address",
    "dagster_code_port": "dagster_code_host",
    **{
        follower: service.addresses[0].setting
        for service in SERVICES
        if service.addresses
        for follower in (
            *(address.setting for address in service.addresses[1:]),
            *(key.setting for key in service.keys if key.is_made),
        )
    },
}
# Settings `<name>_url` that hold the address of the port with that name.
_PLAIN_URLS = ("triton_http", "dagster", "prometheus")
_MADE_KEYS = tuple(key.setting for service in SERVICES for key in service.keys if key.is_made)


def read_env_file(path: Path) -> dict[str, str]:
    """Read lines of the form NAME=value. A file that does not exist counts as empty."""
    if not path.exists():
        return {}
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step; only its owner can read it."""
    lines = [f"{name}={value}\n" for name, value in values.items()]
    head = "# Written by `visionops up`. Holds credentials of this machine's stack.\n"
    write_private(path, head + "".join(lines))


def plan_environment(path: Path, external: frozenset[str]) -> dict[str, int]:
    """Choose ports and credentials, keep earlier ones, and write all to `path`.

    `external` are the settings that the environment gives; their servers get no lines. Returns
    the ports by the names of `DEFAULT_PORTS`.

    Raises:
        OSError: no port is free, or the file cannot be written.

    """
    before = read_env_file(path)
    ports = choose_ports(_kept_ports(before))
    password = before.get(_POSTGRES_PASSWORD) or _secret()
    values = {f"{_PORT_PREFIX}{name.upper()}": str(port) for name, port in ports.items()}
    values[_POSTGRES_PASSWORD] = password
    for field, value in (_addresses(ports, password) | _credentials(before)).items():
        if not external & {field, _FOLLOWERS.get(field, field)}:
            values[f"VISIONOPS_{field.upper()}"] = value
    write_env_file(path, values)
    return ports


def planned_ports(path: Path) -> dict[str, int]:
    """Return the ports of the last start; before the first one, the defaults."""
    return {**DEFAULT_PORTS, **_kept_ports(read_env_file(path))}


def _kept_ports(values: Mapping[str, str]) -> dict[str, int]:
    return {
        name.removeprefix(_PORT_PREFIX).lower(): int(value)
        for name, value in values.items()
        if name.startswith(_PORT_PREFIX)
    }


def _secret() -> str:
    return secrets.token_urlsafe(24)


def _credentials(before: Mapping[str, str]) -> dict[str, str]:
    fields = ("s3_access_key_id", "s3_secret_access_key", "triton_admin_key", *_MADE_KEYS)
    return {field: before.get(f"VISIONOPS_{field.upper()}") or _secret() for field in fields}


def _addresses(ports: Mapping[str, int], postgres_password: str) -> dict[str, str]:
    """Give each address setting its value on this machine."""
    postgres = f"{_POSTGRES_ROLE}:{postgres_password}@127.0.0.1:{ports['postgres']}"
    urls = {f"{name}_url": f"http://127.0.0.1:{ports[name]}" for name in _PLAIN_URLS}
    of_services = {
        address.setting: address.at("127.0.0.1", ports[address.name])
        for service in SERVICES
        for address in service.addresses
    }
    return (
        urls
        | of_services
        | {
            "s3_endpoint_url": f"http://127.0.0.1:{ports['s3']}",
            "kafka_bootstrap_servers": f"127.0.0.1:{ports['kafka']}",
            # The local broker loses acknowledged records of idempotent producers when killed.
            "kafka_idempotent_producer": "false",
            "postgres_url": f"postgresql+psycopg://{postgres}/visionops",
            # Dagster's run storage fails on psycopg 3.
            "dagster_postgres_url": f"postgresql+psycopg2://{postgres}/dagster",
            "alertmanager_url": f"https://127.0.0.1:{ports['alertmanager']}",
            "mlflow_tracking_uri": f"http://127.0.0.1:{ports['mlflow']}",
            "triton_grpc_address": f"127.0.0.1:{ports['triton_grpc']}",
            "triton_metrics_url": f"http://127.0.0.1:{ports['triton_metrics']}/metrics",
            "dagster_code_port": str(ports["dagster_code"]),
        }
    )
