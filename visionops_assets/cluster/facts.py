"""Facts that were seen: the objects of an overlay, and what a cluster has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Object = Mapping[str, Any]
"""One object of Kubernetes, as YAML has it."""
Requests = Mapping[str, str]
"""Amounts that a container asks for, by resource, in Kubernetes' quantities."""

_TEMPLATED = {"Deployment", "StatefulSet", "Job"}
_SUFFIXES = {
    "m": 1e-3,
    **{letter: 1000.0**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)},
}


@dataclass(frozen=True)
class Node:
    """A node: its labels, and what its pods may take in all."""

    labels: Mapping[str, str]
    allocatable: Requests


@dataclass(frozen=True)
class Cluster:
    """All that a cluster has. `kinds` are those of operators, as group, kind and version."""

    version: tuple[int, int]
    kinds: frozenset[tuple[str, str, str]] = frozenset()
    apis: frozenset[str] = frozenset()
    default_storage_class: str = ""
    node_programs: frozenset[str] = frozenset()
    nodes: tuple[Node, ...] = ()
    gateway_classes: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def amount(quantity: str) -> float:
    """Read a quantity: `500m` is 0.5, `2Gi` is 2,147,483,648."""
    for suffix, factor in _SUFFIXES.items():
        if quantity.endswith(suffix):
            return float(quantity.removesuffix(suffix)) * factor
    return float(quantity)


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the pods' specifications that an overlay has, each with its name."""
    for each in objects:
        specification = each.get("spec", {})
        if each["kind"] == "CronJob":
            specification = specification["jobTemplate"]["spec"]
        if each["kind"] in {*_TEMPLATED, "CronJob"}:
            yield each["metadata"]["name"], specification["template"]["spec"]


def wanted(objects: list[Object]) -> Iterator[tuple[str, Requests]]:
    """Yield what each container of an overlay asks for, and each step of Dagster's runs."""
    for name, pod in pods(objects):
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            yield name, container.get("resources", {}).get("requests", {})
    for each in objects:
        if each["kind"] == "ConfigMap" and "steps.yaml" in each["data"]:
            steps = yaml.safe_load(each["data"]["steps.yaml"])["per_step_k8s_config"]
            for step, config in steps.items():
                yield f"step {step}", config["container_config"]["resources"]["requests"]
