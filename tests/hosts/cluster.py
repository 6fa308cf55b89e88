"""The overlay `local` as this package runs it: its pods, its settings, and secrets of our own."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.deploy.manifests import KUBERNETES, config_map, workloads
from tests.hosts.pods import PodTemplate, Secrets, read_template
from visionops_assets.settings import Settings, load_settings

OVERLAY = "local"
KINDS = ("ingest", "relay", "sweep", "gateway", "triton")
DIFFERENT = {
    # The broker here is Tansu, which loses records of idempotent producers.
    "VISIONOPS_KAFKA_IDEMPOTENT_PRODUCER": "false",
    # Two hosts share the cores that one is said to have.
    "VISIONOPS_SERVING_INSTANCES": "1",
    # So short that what they bound happens within a run.
    "VISIONOPS_UPLOAD_LEASE_S": "5",
    "VISIONOPS_SWEEP_INTERVAL_S": "2",
}
"""Settings that differ from the overlay's."""


@dataclass(frozen=True)
class Cluster:
    """What is installed: settings, secrets, and the pods by their kind."""

    settings: Mapping[str, str]
    secrets: Secrets
    templates: Mapping[str, PodTemplate]
    prepare: PodTemplate

    @property
    def catalog_conninfo(self) -> str:
        """How to connect to the catalog, as libpq has it."""
        url = make_url(self.secrets["visionops"]["VISIONOPS_POSTGRES_URL"])
        return url.set(drivername="postgresql").render_as_string(hide_password=False)


def read_cluster() -> Cluster:
    """Render the overlay and read what is run of it."""
    settings = config_map(OVERLAY, "visionops") | DIFFERENT
    made = new_secrets()
    found = workloads(OVERLAY)
    maps = {"visionops": settings}
    templates = {kind: read_template(kind, found[kind], maps, made) for kind in KINDS}
    prepare = read_template("prepare", found["prepare"], maps, made)
    return Cluster(settings, made, templates, _with_files(prepare))


def new_secrets() -> Secrets:
    """Make what `overlays/local/secrets.sh` makes, as far as it is asked for."""
    password = secrets.token_hex(24)
    at = f"visionops:{password}@postgresql:5432"
    return {
        "visionops": {
            "VISIONOPS_POSTGRES_URL": f"postgresql+psycopg://{at}/visionops",
            "VISIONOPS_DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://{at}/dagster",
            "VISIONOPS_TRITON_ADMIN_KEY": secrets.token_hex(24),
            "AWS_ACCESS_KEY_ID": (access_key := secrets.token_hex(24)),
            "AWS_SECRET_ACCESS_KEY": (secret_key := secrets.token_hex(24)),
            "VISIONOPS_S3_ACCESS_KEY_ID": access_key,
            "VISIONOPS_S3_SECRET_ACCESS_KEY": secret_key,
        },
        "visionops-services": {"MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://{at}/mlflow"},
    }


def enter(cluster: Cluster, home: Path) -> Settings:
    """Give this process the variables of a pod that releases, and return its settings."""
    for name in [name for name in os.environ if name.startswith(("VISIONOPS_", "AWS_"))]:
        del os.environ[name]
    os.environ.update(cluster.settings)
    os.environ.update(cluster.secrets["visionops"])
    # What the image has at places of its own.
    os.environ["VISIONOPS_HOME"] = str(home)
    os.environ["VISIONOPS_PROJECT_ROOT"] = str(KUBERNETES.parents[1])
    load_settings.cache_clear()
    return load_settings()


def _with_files(prepare: PodTemplate) -> PodTemplate:
    """Let the Job find its program and Dagster's instance in the checkout: they are ConfigMaps."""
    (mounted,) = prepare.arguments
    base = KUBERNETES / "base"
    environment = dict(prepare.environment) | {"DAGSTER_HOME": str(base / "dagster")}
    arguments = (str(base / Path(mounted).name),)
    return replace(prepare, arguments=arguments, environment=environment)
