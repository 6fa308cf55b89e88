"""The keeper of the local Triton: it verifies files that Triton may load, and lays them out."""

import sys

from visionops_assets.settings import heartbeat_file, secret_environment
from visionops_assets.stack import postgres, seaweedfs
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import beats
from visionops_assets.stack.server import Server

NAME = "keeper"
_SECRETS = ("postgres_url", "s3_access_key_id", "s3_secret_access_key")


def keeper(plan: Plan) -> Server:
    """Describe the keeper. A Triton that others run has a keeper of its own."""
    if plan.is_external("triton_grpc_address"):
        return Server(name=NAME, address="", probe=lambda _: True)
    return Server(
        name=NAME,
        address="",
        command=(sys.executable, "-m", "visionops_assets.services.keeper"),
        env=secret_environment(plan.settings, *_SECRETS),
        needs=(seaweedfs.NAME, postgres.NAME),
        probe=beats(heartbeat_file(plan.settings, NAME)),
    )
