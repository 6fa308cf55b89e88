"""Every overlay renders, and what it renders to is what Kubernetes takes."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.custom_resources import is_custom
from tests.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    config_map,
    of_kind,
    rendered,
    workloads,
)
from tests.deploy.monitoring import CLUSTER_RULES, DASHBOARDS, RULES
from visionops_assets.cluster.service_manifests import files
from visionops_assets.roster.ours import SERVICES

VERSIONS = ("1.34", "1.37")


def key(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_what_kubernetes_takes(overlay: str, version: str) -> None:
    """Custom resources have a test of their own; a kind that neither knows is an error here."""
    for manifest in rendered(overlay):
        if not is_custom(manifest):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_an_unknown_kind_is_refused() -> None:
    manifest = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}
    assert not is_custom(manifest)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_a_mistyped_field_is_refused() -> None:
    manifest = yaml.safe_load(yaml.safe_dump(workloads("staging")["ingest"]))
    manifest["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_object_is_there_twice(overlay: str) -> None:
    assert [k for k, count in Counter(map(key, rendered(overlay))).items() if count > 1] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_runs_in_every_overlay(overlay: str) -> None:
    """One that `visionops up` starts, and that is missing here, would be missed by nobody else."""
    ours = {service.name for service in SERVICES if service.pods}
    servers = {"dagster-code", "dagster-webserver", "dagster-daemon", "mlflow", "triton"}
    assert ours | servers | {"prepare"} <= workloads(overlay).keys()


def test_services_are_those_that_are_declared() -> None:
    kept = {file.name: file.read_text() for file in (KUBERNETES / "base" / "services").iterdir()}
    assert kept == files(SERVICES), "make manifests"


def test_the_rules_are_those_of_one_machine_and_of_a_cluster(tmp_path: Path) -> None:
    built = tmp_path / "rules.yaml"
    subprocess.run([sys.executable, KUBERNETES / "build_rules.py", built], check=True)
    kept = KUBERNETES / "base" / "rules.yaml"
    assert built.read_text() == kept.read_text(), "make manifests"
    [rule] = of_kind("production", "PrometheusRule").values()
    files = [*RULES, *CLUSTER_RULES]
    groups = [g for file in files for g in yaml.safe_load(file.read_text())["groups"]]
    assert rule["spec"]["groups"] == groups


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_grafana_finds_every_dashboard(overlay: str) -> None:
    # By this name in every version: Grafana would show what is left of the one before, too.
    metadata = of_kind(overlay, "ConfigMap")["dashboards"]["metadata"]
    assert metadata["labels"]["grafana_dashboard"] == "1"
    assert config_map(overlay, "dashboards") == {file.name: file.read_text() for file in DASHBOARDS}
