"""What pods start, started: each image's entry point, with the arguments of whoever makes the pod.

Triton's options have a test in test_kubernetes_programs.py: started, it would take ports.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dagster_jobs import launch_step, launched
from tests.deploy.image_programs import NOBODY, OTHERS, REACHED, image_of, run, started
from tests.deploy.manifests import OVERLAYS, Manifest, config_map, containers, pod, workloads
from tests.deploy.monitoring import DEPLOY
from visionops_assets.definitions import executor_of
from visionops_assets.settings import Settings
from visionops_assets.stages.serving.engine_job import engine_job

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
APP, TRAINER = "registry.example/app:1", "registry.example/trainer:1"
DATABASES = {
    "VISIONOPS_POSTGRES_URL": f"postgresql+psycopg://nobody@{NOBODY}/visionops",
    "VISIONOPS_DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://nobody@{NOBODY}/dagster",
    "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://nobody@{NOBODY}/mlflow",
}


def ours() -> dict[str, tuple[str, ...]]:
    """Return the words that every container of ours is started with, once each, by a name."""
    found: dict[tuple[str, ...], str] = {}
    for overlay in OVERLAYS:
        for name, workload in workloads(overlay).items():
            for container in containers(pod(workload)):
                if image_of(container):
                    found.setdefault(started(container), f"{name}/{container['name']}")
    for name, service in COMPOSE["services"].items():
        container = {"image": service["image"], "args": service.get("command")}
        if image_of(container):
            found.setdefault(started(container), f"compose {name}")
    return {name: words for words, name in found.items()}


PYTHON = {name: words for name, words in ours().items() if words[0] == "python"}


def test_ours_are_python_or_triton() -> None:
    others = {words[0] for name, words in ours().items() if name not in PYTHON}
    assert others == {"tritonserver"}
    assert len(PYTHON) > 12


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_a_pod_of_ours_starts_its_program(name: str, tmp_path: Path) -> None:
    done = run(PYTHON[name], DATABASES, tmp_path, to_its_program=True)
    assert done.returncode == 0, done.stderr
    reached = done.stdout.partition(f"{REACHED} ")[2].removesuffix(".py")
    program = PYTHON[name][2] if PYTHON[name][1] == "-m" else "base.prepare"
    package = program.partition(".")[0]
    ends = ("__init__",) if package in OTHERS else ("__main__", program.rpartition(".")[2])
    assert reached.endswith(tuple(f"/{end}" for end in ends)), reached


def test_an_argument_too_many_is_noticed(tmp_path: Path) -> None:
    """As once with Dagster's: `python dagster api execute_run`."""
    done = run(("python", "dagster", "api"), {}, tmp_path, to_its_program=True)
    assert done.returncode != 0
    assert "can't open file" in done.stderr


def launcher_config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(
        config_map("production", "dagster-instance")["dagster.yaml"]
    )
    config: dict[str, Any] = read["run_launcher"]["config"]
    return config


def environment(job: Manifest) -> dict[str, str]:
    [container] = pod(job)["containers"]
    return {v["name"]: v["value"] for v in container["env"] if "value" in v}


def test_runs_and_steps_of_dagster_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run comes as far as Kubernetes, which it asks for its step; the step comes to its end."""
    folder, instance_folder = tmp_path / "pod", tmp_path / "instance"
    folder.mkdir()
    instance_folder.mkdir()
    with launched(launcher_config(), APP, instance_folder, monkeypatch) as made:
        instance, cluster, dagster_run = made
        file = tmp_path / "steps.yaml"
        file.write_text(config_map("production", "dagster-steps")["steps.yaml"])
        settings = Settings(executor="k8s", k8s_steps_file=file, k8s_trainer_image=TRAINER)
        launch_step(instance, APP, dagster_run, executor_of(settings))
        of_run, of_step = cluster.jobs
        for job in (of_step, of_run):
            [container] = pod(job)["containers"]
            words = started(container)
            assert words[:3] == ("env", "dagster", "api")
            done = run(words, environment(job), folder, to_its_program=False)
            assert done.returncode == 0, done.stdout + done.stderr
        events = instance.all_logs(dagster_run.run_id)
        succeeded = [
            e.step_key
            for e in events
            if e.is_dagster_event and e.get_dagster_event().is_step_success
        ]
        assert succeeded == ["only_step"]
        # What Kubernetes' client says without a cluster around it.
        assert "Service host/port is not set" in str(events)


def test_the_builder_of_engines_starts(tmp_path: Path) -> None:
    [container] = pod(engine_job("classifier", 1, TRAINER))["containers"]
    done = run(started(container), {}, tmp_path, to_its_program=True)
    assert done.returncode == 0, done.stderr
    assert "build_engine" in done.stdout


def test_preparing_comes_to_the_database(tmp_path: Path) -> None:
    [container] = pod(workloads("production")["prepare"])["containers"]
    done = run(started(container), DATABASES, tmp_path, to_its_program=False)
    assert re.search(r"connection to server at .* failed|Connection refused", done.stderr)
