"""Runs the Job `prepare` as a cluster does, on databases of a test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"


def text_of(url: URL, driver: str = "") -> str:
    """Return a URL with its password, by libpq's name or with a driver of SQLAlchemy."""
    name = f"postgresql+{driver}" if driver else "postgresql"
    return url.set(drivername=name).render_as_string(hide_password=False)


def prepare(urls: Mapping[str, URL], folder: Path) -> None:
    """Run it with the cluster's instance of Dagster, which is put into the folder."""
    shutil.copy2(BASE / "dagster" / "dagster.yaml", folder)
    environment = os.environ | {
        "DAGSTER_HOME": str(folder),
        "VISIONOPS_HOME": str(folder),
        "VISIONOPS_S3_BUCKET": "visionops",
        "VISIONOPS_S3_REGION": "us-east-1",
        "VISIONOPS_POSTGRES_URL": text_of(urls["catalog"], "psycopg"),
        "VISIONOPS_DAGSTER_POSTGRES_URL": text_of(urls["dagster"], "psycopg2"),
        "MLFLOW_BACKEND_STORE_URI": text_of(urls["mlflow"], "psycopg2"),
    }
    words = [sys.executable, str(BASE / "prepare.py")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
