"""The overlays of `deploy/kubernetes`, rendered, as tests read them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.monitoring import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("local", "staging", "production", "gke")
COMPONENT = "app.kubernetes.io/component"
WORKLOADS = {"Deployment", "StatefulSet", "Job"}

Manifest = dict[str, Any]
"""One object of Kubernetes, as YAML has it."""


@cache
def installed(name: str, by: str = "make .venv/.tools") -> str:
    """Path of a program, by default one of tools.txt.

    Where nobody can do without it, its absence is a failure.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is not None:
        return found
    message = f"{name} is not installed: {by}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """Render an overlay into its objects."""
    done = subprocess.run(
        [installed("kubectl"), "kustomize", str(KUBERNETES / "overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # What Kustomize warns of is deprecated or without effect.
    assert not done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind by their names."""
    return {o["metadata"]["name"]: o for o in rendered(overlay) if o["kind"] == kind}


def workloads(overlay: str) -> dict[str, Manifest]:
    """Return what has pods, by name; of a CronJob, the Job that it makes."""
    made = {
        name: {"kind": "Job", "metadata": job["metadata"], **job["spec"]["jobTemplate"]}
        for name, job in of_kind(overlay, "CronJob").items()
    }
    return made | {o["metadata"]["name"]: o for o in rendered(overlay) if o["kind"] in WORKLOADS}


def pod(workload: Manifest) -> Manifest:
    """Return the specification of a workload's pods."""
    specification: Manifest = workload["spec"]["template"]["spec"]
    return specification


def pod_labels(workload: Manifest) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers(specification: Manifest) -> list[Manifest]:
    """Return the containers of a pod, those that initialise it among them."""
    return [*specification.get("initContainers", []), *specification["containers"]]


def config_map(overlay: str, name: str) -> dict[str, str]:
    """Return the data of a ConfigMap whose name has no hash."""
    data: dict[str, str] = of_kind(overlay, "ConfigMap")[name]["data"]
    return data


def secret_references(specification: Manifest) -> Iterator[tuple[str, str, bool]]:
    """Yield what a pod takes of Secrets: the Secret, the key, and whether it may be missing."""
    for container in containers(specification):
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"], reference.get("optional", False)


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Tell whether a selector of labels takes these: `matchLabels`, and `In` of expressions."""
    return all(
        labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
    ) and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", [])
    )


def opened_ports(overlay: str, labels: dict[str, str], direction: str) -> set[int]:
    """Return the ports that policies open to, or from, pods with these labels."""
    return {
        port["port"]
        for policy in of_kind(overlay, "NetworkPolicy").values()
        if matches(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get(direction, [])
        for port in rule.get("ports", [])
    }
