"""The backup: its manifests, and its restore script against a kubectl that only notes its words."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.deploy.manifests import installed
from tests.deploy.monitoring import DEPLOY
from visionops_assets.cli import app
from visionops_assets.settings import Settings

BACKUP = DEPLOY / "backup"
BACKUP_ID = "20261126T021700.000000Z"
KUBECTL = """#!/usr/bin/env bash
# Notes its words; answers as a cluster with three Deployments would. $FAKE is its state.
words="${*:3}"
echo "$words" >>"$FAKE/calls"
case "$words" in
  "get deployments "*) printf 'deployment.apps/%s\\n' ingest triton sweep ;;
  *"jsonpath={.spec.replicas}") echo 3 ;;
  "create job restore --from"*) cat "$FAKE/job.json" ;;
  "create --filename -") cat >"$FAKE/created.json" ;;
  "get job restore "*) cat "$FAKE/state" ;;
  "get deployment.apps/"*"--output json") cat "$FAKE/deployment.json" ;;
  "get cronjob backup") test ! -e "$FAKE/no-backup" ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A folder of state, with a `kubectl` in it."""
    installed("jq", "apt-get install jq")
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    job = {"spec": {"template": {"spec": {"containers": [{"name": "backup", "args": ["x"]}]}}}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    annotations = {"visionops/replicas-before-restore": "3"}
    (tmp_path / "deployment.json").write_text(
        json.dumps({"metadata": {"annotations": annotations}})
    )
    (tmp_path / "state").write_text("Complete")
    return tmp_path


def restore(cluster: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    environment = os.environ | {
        "PATH": f"{cluster}:{os.environ['PATH']}",
        "FAKE": str(cluster),
        "RESTORE_POLL_S": "0",
    }
    done = subprocess.run(
        ["bash", str(BACKUP / "restore.sh"), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    calls = cluster / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_a_restore_stops_writers_restores_and_starts_them_again(cluster: Path) -> None:
    done, calls = restore(cluster, BACKUP_ID)
    assert done.returncode == 0, done.stderr
    job = json.loads((cluster / "created.json").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][-4:] == ["backups", "restore", BACKUP_ID, "--yes"]
    assert job["spec"]["backoffLimit"] == 0
    created = calls.index("create --filename -")
    for name in ("ingest", "sweep"):
        assert calls.index(f"scale deployment.apps/{name} --replicas 0") < created
        assert calls.index(f"scale deployment.apps/{name} --replicas 3") > created
    suspended = [call for call in calls if "suspend" in call]
    assert ["true" in call for call in suspended] == [True, False]
    assert any(call.startswith("delete jobs --selector dagster/run-id") for call in calls[:created])
    assert not any("deployment.apps/triton" in call for call in calls)


def test_after_a_failure_nothing_is_started(cluster: Path) -> None:
    (cluster / "state").write_text("Failed")
    done, calls = restore(cluster, BACKUP_ID)
    assert done.returncode == 1
    assert "nothing was started again" in done.stderr
    assert not any(call.endswith("--replicas 3") for call in calls)


@pytest.mark.parametrize("words", [[], ["latest"], ["20261126T021700.000000Z; rm -rf /"]])
def test_a_wrong_id_stops_nothing(cluster: Path, words: list[str]) -> None:
    done, calls = restore(cluster, *words)
    assert done.returncode != 0
    assert calls == []


def test_without_the_cron_job_nothing_is_stopped(cluster: Path) -> None:
    (cluster / "no-backup").touch()
    done, calls = restore(cluster, BACKUP_ID)
    assert done.returncode != 0
    assert calls == ["get cronjob backup"]


def cron_job() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((BACKUP / "cronjob.yaml").read_text())
    return read


def test_the_cron_job_runs_a_command_that_exists_with_settings_that_do() -> None:
    (container,) = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    module, command, sub, option = container["args"][1:5]
    assert module == "visionops_assets"
    known = typer.main.get_group(app).commands[command]
    options = {word for each in known.commands[sub].params for word in each.opts}  # type: ignore[attr-defined]
    assert option in options
    names = {variable["name"] for variable in container["env"]}
    assert names >= {"VISIONOPS_POSTGRES_URL", "VISIONOPS_DAGSTER_POSTGRES_URL"}
    ours = {name for name in names if name.startswith("VISIONOPS_")}
    assert ours <= {f"VISIONOPS_{field.upper()}" for field in Settings.model_fields}
    assert "MLFLOW_BACKEND_STORE_URI" in names


def test_the_cron_job_is_as_guarded_as_every_pod() -> None:
    specification = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = specification["containers"]
    assert specification["securityContext"]["runAsNonRoot"]
    assert specification["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    [tmp] = specification["volumes"]
    assert "ephemeral" in tmp, "dumps are larger than the disk of a node"
    assert cron_job()["spec"]["concurrencyPolicy"] == "Forbid"
