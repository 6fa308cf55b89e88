"""Brings the databases of the catalog, of MLflow and of Dagster to their newest schemas.

Each is made if it is empty. Safe to run again. The catalog's migrations wait for each other; where
MLflow makes its tables at the same time, one of both fails as a whole, and is tried again.
"""

import os
import sys

from visionops_assets.catalog import migrate
from visionops_assets.errors import VisionOpsError
from visionops_assets.models import default_model
from visionops_assets.settings import load_settings


def main() -> None:
    """Prepare those databases that the environment names: the catalog first, for ingest waits."""
    migrate.upgrade(load_settings().postgres_url.get_secret_value())
    if url := os.environ.get("MLFLOW_BACKEND_STORE_URI"):
        _prepare_mlflow(url)
    if "DAGSTER_HOME" in os.environ:
        _prepare_dagster()


def _prepare_mlflow(url: str) -> None:
    """Do what `mlflow db upgrade` does, with the URL in no command line."""
    # Ingest waits for the catalog alone, and this import takes seconds.
    from mlflow.db import upgrade  # noqa: PLC0415

    upgrade.main([url], standalone_mode=False)


def _prepare_dagster() -> None:
    """Do what `dagster instance migrate` does, and carry over what had other names."""
    from dagster import DagsterInstance  # noqa: PLC0415

    from visionops_assets.stack.earlier_names import carry_over  # noqa: PLC0415

    # Its tables are made when it is first connected to.
    with DagsterInstance.get() as instance:
        instance.upgrade(print)
        carry_over(instance, default_model().name)


if __name__ == "__main__":
    try:
        main()
    except VisionOpsError as error:
        sys.exit(f"{error}")
