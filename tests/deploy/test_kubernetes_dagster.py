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
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._serdes import ConfigurableClassData
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from dagster_k8s.launcher import K8sRunLauncher

from tests.defined import step_of
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
from tests.deploy.one_step import one_step
from visionops_assets.definitions import TRAINER_IMAGE, definitions, executor_of
from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings
from visionops_assets.stages.attempts import TRAIN_AND_RELEASE
from visionops_assets.stages.serving.engine_job import engine_job

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


def executor(overlay: str) -> dict[str, Any]:
    """Read the executor's configuration: what steps get beyond their run's."""
    text = config_map(overlay, "dagster-steps")["steps.yaml"]
    trainer = config_map(overlay, "visionops").get("VISIONOPS_K8S_TRAINER_IMAGE", "")
    read: dict[str, Any] = yaml.safe_load(text.replace(TRAINER_IMAGE, trainer))
    return read


def steps(overlay: str) -> dict[str, Any]:
    """Read what single steps get, by name."""
    of_steps: dict[str, Any] = executor(overlay)["per_step_k8s_config"]
    return of_steps


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


def job(launcher: K8sRunLauncher, *configs: dict[str, Any]) -> Manifest:
    """Make a job as Dagster does: the run's configuration, then that of all steps, and of one."""
    run = dg.DagsterRun(job_name="__ASSET_JOB")
    context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    for config in configs:
        override = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
        context = context.merge(K8sContainerContext(run_k8s_config=override))
    made = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(IMAGE, launcher),
        args=["dagster", "api", "execute_step"],
        job_name="dagster-step-0",
        component="step_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    serialised: Manifest = kubernetes.client.ApiClient().sanitize_for_serialization(made)
    return serialised


def step_job(launcher: K8sRunLauncher, overlay: str, asset: str) -> Manifest:
    """Make the job of an asset's step."""
    of_all = executor(overlay)["step_k8s_config"]
    return job(launcher, of_all, steps(overlay).get(asset, {}))


@pytest.mark.parametrize("overlay", ["staging", "production"])
@pytest.mark.parametrize("asset", assets())
def test_the_job_of_every_asset(launcher: K8sRunLauncher, overlay: str, asset: str) -> None:
    made = step_job(launcher, overlay, asset)
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
        specification = pod(step_job(launcher, "production", asset))
        [container] = specification["containers"]
        has_gpu = container["resources"]["limits"].get("nvidia.com/gpu") == "1"
        assert has_gpu is (asset == "trained_model")
        tolerated = [t["key"] for t in specification.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if has_gpu else [])


def test_runs_reach_what_they_use(launcher: K8sRunLauncher) -> None:
    labels = pod_labels(job(launcher))
    assert opened_ports("production", labels, "egress") >= {443, 5432, 9090, 9093}
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


def test_only_the_pod_of_a_run_may_start_jobs(launcher: K8sRunLauncher) -> None:
    """A step decodes what strangers sent: it has an account of no rights, and no token."""
    [binding] = of_kind("production", "RoleBinding").values()
    bound = {subject["name"] for subject in binding["subjects"]}
    of_run, of_step = job(launcher), step_job(launcher, "production", "processed_frames")
    assert pod(of_run)["serviceAccountName"] in bound
    assert pod(of_run)["automountServiceAccountToken"] is True
    assert 6443 in opened_ports("production", pod_labels(of_run), "egress")
    assert pod(of_step)["serviceAccountName"] not in bound
    assert pod(of_step)["automountServiceAccountToken"] is False
    assert 6443 not in opened_ports("production", pod_labels(of_step), "egress")


def test_long_work_is_not_ended_to_save_a_node_or_after_two_hours(
    launcher: K8sRunLauncher,
) -> None:
    stay = {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }
    pods_of_work = [
        job(launcher),
        step_job(launcher, "production", "trained_model"),
        engine_job("classifier", 1, IMAGE),
        workloads("production")["backup"],
    ]
    for made in pods_of_work:
        annotations = made["spec"]["template"]["metadata"]["annotations"]
        assert annotations.items() >= stay.items()
    limit_s = instance("production")["run_monitoring"]["max_runtime_seconds"]
    tags = definitions.resolve_job_def(step_of(TRAIN_AND_RELEASE)).tags
    assert float(tags["dagster/max_runtime"]) > 24 * 3600 > limit_s


def test_steps_have_the_image_of_the_overlay(tmp_path: Path) -> None:
    """By its one tag: a step of another version would read and write other records."""
    settings = config_map("production", "visionops")
    trainer = settings["VISIONOPS_K8S_TRAINER_IMAGE"]
    [ours] = {pod(workloads("production")["ingest"])["containers"][0]["image"]}
    assert trainer == ours.replace("/app:", "/trainer:")
    file = tmp_path / "steps.yaml"
    file.write_text(config_map("production", "dagster-steps")["steps.yaml"])
    assert trainer not in file.read_text()
    with pytest.raises(SettingsError, match=r"trainer\.Dockerfile"):
        executor_of(Settings(executor="k8s", k8s_steps_file=file))
    chosen = executor_of(Settings(executor="k8s", k8s_steps_file=file, k8s_trainer_image=trainer))
    config = ResolvedRunConfig.build(one_step.with_executor_def(chosen))
    of_steps: Any = config.execution.execution_engine_config["per_step_k8s_config"]
    assert of_steps[step_of("trained_model")]["container_config"]["image"] == trainer


def test_runs_have_the_settings_and_the_secrets(launcher: K8sRunLauncher) -> None:
    [container] = pod(job(launcher))["containers"]
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
    ours, theirs = (
        {(limit["key"], str(limit.get("value"))): limit["limit"] for limit in limits}
        for limits in (
            each["concurrency"]["runs"]["tag_concurrency_limits"] for each in (local, cluster)
        )
    )
    # On one machine media are limited, too: they have its cores to themselves.
    assert ours.keys() - theirs.keys() == {("visionops/share", "media")}
    assert all(ours[name] <= theirs[name] for name in theirs)


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


def test_production_builds_engines_for_the_gpus_that_serve_and_by_their_tensorrt() -> None:
    settings = config_map("production", "visionops")
    product = pod(workloads("production")["triton"])["nodeSelector"]["nvidia.com/gpu.product"]
    assert settings["VISIONOPS_ENGINE_GPUS"] == product
    assert settings["VISIONOPS_K8S_TRAINER_IMAGE"]
    versions = {
        line
        for name in ("trainer", "triton")
        for line in (DEPLOY / "images" / f"{name}.Dockerfile").read_text().splitlines()
        if line.startswith("ARG TENSORRT_VERSION=")
    }
    assert len(versions) == 1
    assert settings["VISIONOPS_SERVING_LAYOUT"] == "ensemble"
    assert settings["VISIONOPS_SERVING_BACKEND"] == "tensorrt"


def test_the_pod_of_a_run_may_do_what_the_asset_engine_does(launcher: K8sRunLauncher) -> None:
    [role] = of_kind("production", "Role").values()
    allowed = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed >= {("jobs", "create"), ("jobs", "get"), ("pods", "list")}
    assert pod(job(launcher))["serviceAccountName"] == "dagster"
    # It waits for a Job to its deadline, and no longer than a run may take.
    deadline_s = engine_job("classifier", 1, IMAGE)["spec"]["activeDeadlineSeconds"]
    assert deadline_s < instance("production")["run_monitoring"]["max_runtime_seconds"]


def test_the_builder_of_engines_finds_what_it_needs() -> None:
    made = engine_job("classifier", 1, "registry.example/trainer:1")
    assert weaknesses(pod(made)) == []
    assert pod(made)["priorityClassName"] in of_kind("production", "PriorityClass")
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
