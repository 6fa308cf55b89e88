"""MLflow's tracking server: runs and the model registry in PostgreSQL, artifacts in S3."""

import sys

from visionops_assets.stack import postgres, seaweedfs
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, host_and_port
from visionops_assets.stack.server import Server

NAME = "mlflow"


def mlflow(plan: Plan) -> Server:
    """Describe the tracking server. One worker: a process costs 0.3 GB."""
    settings = plan.settings
    address = settings.mlflow_tracking_uri
    if plan.is_external("mlflow_tracking_uri"):
        return Server(name=NAME, address=address, probe=accepts_connections(address))
    host, port = host_and_port(address)
    database = postgres.mlflow_database(settings).render_as_string(hide_password=False)
    env = {
        # By environment, since a command line is visible to every user of the machine.
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{settings.s3_bucket}/mlflow",
        # By default names that merely begin like a private address, "10.example.com", are allowed.
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{host}:{port},localhost:{port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if settings.s3_endpoint_url:
        env["MLFLOW_S3_ENDPOINT_URL"] = settings.s3_endpoint_url
    return Server(
        name=NAME,
        address=address,
        command=(
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", host, "--port", str(port), "--workers", "1"),
        ),
        env=plan.s3_credentials | env,
        needs=(seaweedfs.NAME, postgres.NAME),
        probe=answers_http(f"{address}/health"),
    )
