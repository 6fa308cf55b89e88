"""`visionops env`: variables with which a shell reaches the stack."""

import os
import shlex
import sys
from pathlib import Path

import typer

from visionops_assets.cli import failures
from visionops_assets.cli.screen import AsJson, print_json
from visionops_assets.redaction import without_credentials
from visionops_assets.settings import (
    STACK_ENV_FILE,
    child_environment,
    load_external_settings,
    load_settings,
    settings_home,
)

# Variables by the settings that hold their addresses.
_ADDRESSES = {
    "INGEST": "ingest_url",
    "GATEWAY": "gateway_url",
    "GATEWAY_GRPC": "gateway_grpc_address",
    "CAMERA": "camera_url",
    "TRITON": "triton_grpc_address",
    "DAGSTER": "dagster_url",
    "MLFLOW": "mlflow_tracking_uri",
    "PROMETHEUS": "prometheus_url",
}


def env(as_json: AsJson = False) -> None:
    """Print shell variables with the addresses of the servers: `eval "$(visionops env)"`.

    They set PATH (with these programs first), VISIONOPS_HOME, DAGSTER_HOME (for `dagster dev`) and
    the addresses INGEST, GATEWAY, GATEWAY_GRPC, CAMERA, TRITON (gRPC), DAGSTER, MLFLOW and
    PROMETHEUS. No secret is among them.
    """
    home = settings_home()
    is_planned = (home / STACK_ENV_FILE).exists()
    variables = _own_variables(home) | _addresses(is_planned)
    if is_planned:
        variables["DAGSTER_HOME"] = str(home / "dagster")
    else:
        typer.echo(f"visionops: {failures.advice()}", err=True)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _own_variables(home: Path) -> dict[str, str]:
    programs = str(Path(sys.executable).parent)
    before = child_environment(load_settings()).get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join([programs, *(folder for folder in before if folder != programs)])
    return {"PATH": path, "VISIONOPS_HOME": str(home)}


def _addresses(is_planned: bool) -> dict[str, str]:
    """Return the addresses of the stack, and without one those that the environment gives."""
    settings = load_settings()
    given = load_external_settings().model_fields_set
    return {
        name: without_credentials(str(getattr(settings, field)))
        for name, field in _ADDRESSES.items()
        if is_planned or field in given
    }
