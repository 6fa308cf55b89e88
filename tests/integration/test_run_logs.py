"""What runs print: in the bucket, and shown when this machine holds no copy."""

import shutil
from typing import Any

import pytest

from tests.integration.dagster_graphql import run_health_check, run_logs
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.stack.paths import Paths


@pytest.fixture(scope="module")
def run(stack: Settings) -> dict[str, Any]:
    run = run_health_check(stack.dagster_url)
    assert run["status"] == "SUCCESS"
    return run


def test_logs_of_a_run_are_objects_and_no_files(stack: Settings, run: dict[str, Any]) -> None:
    folder = f"dagster/storage/{run['runId']}/compute_logs"
    names = {key.rpartition(".")[2] for key in ObjectStore().list_keys(folder)}
    assert names == {"out", "err"}
    assert not [*Paths(stack.home).dagster.rglob(f"{run['runId']}/**/*.err")]


def test_logs_are_shown_after_the_files_are_lost(stack: Settings, run: dict[str, Any]) -> None:
    """As after `down` and `up` on another disk, or in another pod."""
    shutil.rmtree(Paths(stack.home).dagster / run["runId"], ignore_errors=True)
    assert f"{run['runId']} - " in (run_logs(stack.dagster_url, run)["stderr"] or "")


def test_the_configuration_holds_no_secret(stack: Settings) -> None:
    paths = Paths(stack.home)
    written = "".join(
        (home / "dagster.yaml").read_text() for home in (paths.dagster, paths.attached_dagster)
    )
    for secret in (stack.s3_secret_access_key, stack.s3_access_key_id):
        assert secret is not None
        assert secret.get_secret_value() not in written
    assert "postgresql+psycopg2://" not in written
