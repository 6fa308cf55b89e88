"""Dagster on a cluster: its instance, and the jobs that it makes of runs and steps."""

from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import RunLauncher
from dagster._serdes import ConfigurableClassData
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from dagster_k8s.launcher import K8sRunLauncher

from tests.deploy.hardening import weaknesses
from tests.deploy.manifests import (
    OVERLAYS,
    Manifest,
    config_map,
    containers,
    matches,
    of_kind,
    opened_ports,
    pod,
    pod_labels,
    workloads,
)
from tests.deploy.monitoring import DEPLOY
from visionops_assets.definitions import definitions
from visionops_assets.stages.serving.engine_job import engine_job
from visionops_assets.vision.tensorrt_target import Target

DIFFERS = {
    "run_launcher",
    "compute_logs",
    "local_artifact_storage",
    "concurrency",
    "run_monitoring",
}
"""What is another on a cluster than on one machine."""
IMAGE = "registry.example/app:1"


def instance(overlay: str) -> dict[str, Any]:
    """Read the dagster.yaml of an overlay."""
    read: dict[str, Any] = yaml.safe_load(config_map(overlay, "dagster-instance")["dagster.yaml"])
    return read


def steps(overlay: str) -> dict[str, Any]:
    """Read what steps get beyond their run's."""
    read: dict[str, Any] = yaml.safe_load(config_map(overlay, "dagster-steps")["steps.yaml"])
    return read


def assets() -> list[str]:
    """Name every asset's step."""
    return sorted(spec.key.path[-1] for spec in definitions.resolve_all_asset_specs())


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> K8sRunLauncher:
    """The run launcher as the daemon makes it of dagster.yaml, but that no cluster is asked."""
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    config = instance("production")["run_launcher"]
    data = ConfigurableClassData(
        config["module"], config["class"], yaml.safe_dump(config["config"])
    )
    made = data.rehydrate(as_type=RunLauncher)  # type: ignore[type-abstract]
    assert isinstance(made, K8sRunLauncher)
    return made


def job(launcher: K8sRunLauncher, step_config: dict[str, Any]) -> Manifest:
    """Make the job of a step as the executor does: the run's configuration, then the step's."""
    override = UserDefinedDagsterK8sConfig.from_dict(step_config)  # type: ignore[no-untyped-call]
    run = dg.DagsterRun(job_name="__ASSET_JOB")
    of_run = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    context = of_run.merge(K8sContainerContext(run_k8s_config=override))
    made = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(IMAGE, launcher),
        args=["dagster", "api", "execute_step"],
        job_name="dagster-step-0",
        component="step_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    serialised: Manifest = kubernetes.client.ApiClient().sanitize_for_serialization(made)
    return serialised


@pytest.mark.parametrize("overlay", ["staging", "production"])
@pytest.mark.parametrize("asset", assets())
def test_the_job_of_every_asset(launcher: K8sRunLauncher, overlay: str, asset: str) -> None:
    made = job(launcher, steps(overlay).get(asset, {}))
    kubernetes_validate.validate(made, "1.37", strict=True)
    specification = pod(made)
    assert weaknesses(specification) == []
    assert specification["serviceAccountName"] in of_kind(overlay, "ServiceAccount")
    assert specification["priorityClassName"] in of_kind(overlay, "PriorityClass")
    maps = {v["configMap"]["name"] for v in specification["volumes"] if "configMap" in v}
    assert maps <= of_kind(overlay, "ConfigMap").keys()
    [container] = containers(specification)
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert len(mounts) == len(set(mounts))
    assert {v["name"]: v.get("value") for v in container["env"]}["HOME"] == "/tmp"


def test_every_step_that_is_sized_exists() -> None:
    for overlay in OVERLAYS:
        assert steps(overlay).keys() <= set(assets())


def test_training_has_a_gpu_and_only_training(launcher: K8sRunLauncher) -> None:
    for asset in assets():
        specification = pod(job(launcher, steps("production").get(asset, {})))
        [container] = specification["containers"]
        has_gpu = container["resources"]["limits"].get("nvidia.com/gpu") == "1"
        assert has_gpu is (asset == "trained_model")
        tolerated = [t["key"] for t in specification.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if has_gpu else [])


def test_runs_reach_what_they_use(launcher: K8sRunLauncher) -> None:
    labels = job(launcher, {})["spec"]["template"]["metadata"]["labels"]
    assert opened_ports("production", labels, "egress") >= {443, 5432, 9090, 9092}
    for server, port in (("triton", 8001), ("mlflow", 5000), ("dagster-code", 4266)):
        rules = of_kind("production", "NetworkPolicy")[server]["spec"]["ingress"]
        assert any(
            matches(peer["podSelector"], labels)
            for rule in rules
            if {"protocol": "TCP", "port": port} in rule["ports"]
            for peer in rule["from"]
            if "podSelector" in peer
        ), server
    # No Service sends them requests.
    for service in of_kind("production", "Service").values():
        assert not matches({"matchLabels": service["spec"]["selector"]}, labels)


def test_runs_have_the_settings_and_the_secrets(launcher: K8sRunLauncher) -> None:
    [container] = pod(job(launcher, {}))["containers"]
    sources = {
        source[kind]["name"]
        for source in container["envFrom"]
        for kind in ("configMapRef", "secretRef")
        if kind in source
    }
    assert sources == {"visionops"}
    home = next(v["value"] for v in container["env"] if v["name"] == "DAGSTER_HOME")
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert home in mounted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_instance_fits_the_overlay(overlay: str) -> None:
    config = instance(overlay)["run_launcher"]["config"]
    [namespace] = of_kind(overlay, "Namespace")
    assert config["job_namespace"] == namespace
    for name in ("dagster-code", "dagster-webserver", "dagster-daemon"):
        deployment = workloads(overlay)[name]
        [container] = pod(deployment)["containers"]
        given = {v["name"]: v.get("value") for v in container["env"]}
        assert given["DAGSTER_HOME"] == config["dagster_home"]
        assert config["dagster_home"] in {m["mountPath"] for m in container["volumeMounts"]}
        if name == "dagster-code":
            # Runs are started from it.
            assert given["DAGSTER_CURRENT_IMAGE"] == container["image"]


def test_the_instance_is_valid_and_that_of_one_machine_but_for_the_cluster() -> None:
    local = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    cluster = instance("production")
    assert {k for k in local.keys() | cluster.keys() if local.get(k) != cluster.get(k)} == DIFFERS
    limits = "tag_concurrency_limits"
    assert cluster["concurrency"]["runs"][limits] == local["concurrency"]["runs"][limits]


def test_the_instance_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its parts are made of their configuration, as far as they do not connect."""
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    for name, value in config_map("production", "visionops").items():
        monkeypatch.setenv(name, value)
    url = "postgresql+psycopg2://nobody@127.0.0.1:1/dagster"
    monkeypatch.setenv("VISIONOPS_DAGSTER_POSTGRES_URL", url)
    (tmp_path / "dagster.yaml").write_text(
        config_map("production", "dagster-instance")["dagster.yaml"]
    )
    reference = InstanceRef.from_dir(str(tmp_path))
    assert isinstance(reference.run_launcher, K8sRunLauncher)
    assert type(reference.run_coordinator).__name__ == "QueuedRunCoordinator"
    assert type(reference.compute_log_manager).__name__ == "S3ComputeLogManager"


def test_production_serves_the_engine_of_its_gpus() -> None:
    settings = config_map("production", "visionops")
    product = pod(workloads("production")["triton"])["nodeSelector"]["nvidia.com/gpu.product"]
    dockerfile = (DEPLOY / "images" / "trainer.Dockerfile").read_text()
    [version] = [
        line.partition("=")[2]
        for line in dockerfile.splitlines()
        if line.startswith("ARG TENSORRT_VERSION=")
    ]
    # An L4 is of compute capability 8.9.
    target = Target(product, (8, 9), version)
    assert settings["VISIONOPS_SERVING_ENGINE"] == target.engine_key("fp16")
    assert settings["VISIONOPS_SERVING_LAYOUT"] == "ensemble"
    assert settings["VISIONOPS_SERVING_BACKEND"] == "tensorrt"


def test_the_builder_of_engines_finds_what_it_needs() -> None:
    made = engine_job("classifier", 1, "registry.example/trainer:1")
    [container] = pod(made)["containers"]
    maps = of_kind("production", "ConfigMap")
    fetched = {
        secret["spec"]["target"]["name"]
        for secret in of_kind("production", "ExternalSecret").values()
    }
    for source in container["envFrom"]:
        if "configMapRef" in source:
            assert source["configMapRef"]["name"] in maps
        else:
            assert source["secretRef"]["name"] in fetched
    secrets = {v["secret"]["secretName"] for v in pod(made)["volumes"] if "secret" in v}
    assert secrets <= fetched
    assert pod(made)["serviceAccountName"] in of_kind("production", "ServiceAccount")
    assert 443 in opened_ports("production", pod_labels(made), "egress")
    [to_mlflow] = of_kind("production", "NetworkPolicy")["mlflow"]["spec"]["ingress"]
    pods = [peer["podSelector"] for peer in to_mlflow["from"] if "podSelector" in peer]
    assert any(matches(selector, pod_labels(made)) for selector in pods)
