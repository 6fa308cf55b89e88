"""Policies of our own: what a pod may, what it takes from its node, who reaches it."""

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.hardening import is_pinned, looks_secret, weaknesses
from tests.deploy.manifests import (
    COMPONENT,
    KUBERNETES,
    OVERLAYS,
    config_map,
    matches,
    of_kind,
    pod,
    pod_labels,
    rendered,
    workloads,
)
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings, heartbeat_file

WITHOUT_PORT = {service.name for service in SERVICES if service.heartbeat and service.pods}
REFERENCE = re.compile(r"- name: \w+\n +value_from: \{secret_key_ref: \{[^}]*\}\}")
"""A variable that is taken from a Secret, as Dagster's configuration has it."""
WITH_TOKEN = {"dagster-daemon", "dagster-webserver"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_hardened(overlay: str) -> None:
    found = {name: weaknesses(pod(workload)) for name, workload in workloads(overlay).items()}
    assert {name: weak for name, weak in found.items() if weak} == {}


def test_a_pod_that_is_not_hardened_is_found() -> None:
    """Each rule sees what it is for."""
    bare = {
        "containers": [
            {
                "name": "a",
                "image": "a/b:latest",
                "env": [{"name": "URL", "value": "postgresql://me:secret@host/db"}],
                "securityContext": {"privileged": True},
            }
        ],
        "hostNetwork": True,
        "volumes": [{"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}],
    }
    assert len(weaknesses(bare)) == 16


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("a/b:1.0", True),
        ("host:5000/a/b:1.0", True),
        (f"a/b@sha256:{'0' * 64}", True),
        ("a/b", False),
        ("host:5000/a/b", False),
        ("a/b:latest", False),
    ],
)
def test_what_counts_as_pinned(image: str, pinned: bool) -> None:
    assert is_pinned(image) is pinned


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_server_is_probed(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        [container] = pod(workload)["containers"]
        if workload["kind"] == "Job":
            assert "ports" not in container
            continue
        assert {"startupProbe", "livenessProbe"} <= container.keys(), name
        # Nobody connects to the daemon, so that it is never too early.
        assert ("readinessProbe" in container) == ("ports" in container), name


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", sorted(WITHOUT_PORT))
def test_what_has_no_port_is_probed_by_the_file_that_it_touches(overlay: str, name: str) -> None:
    [container] = pod(workloads(overlay)[name])["containers"]
    home = Path(config_map(overlay, "visionops")["VISIONOPS_HOME"])
    touched = str(heartbeat_file(Settings(home=home), name))
    for probe in ("startupProbe", "livenessProbe"):
        assert touched in container[probe]["exec"]["command"][-1].split()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_tokens_are_for_those_who_start_jobs(overlay: str) -> None:
    accounts = of_kind(overlay, "ServiceAccount")
    for name, workload in workloads(overlay).items():
        specification = pod(workload)
        assert specification["automountServiceAccountToken"] is (name in WITH_TOKEN), name
        assert specification["serviceAccountName"] in accounts
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    [binding] = of_kind(overlay, "RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["dagster"]
    [role] = of_kind(overlay, "Role").values()
    assert not any("*" in values for rule in role["rules"] for values in rule.values())
    assert not any("secrets" in rule["resources"] for rule in role["rules"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_priorities_exist(overlay: str) -> None:
    known = of_kind(overlay, "PriorityClass").keys()
    assert {pod(w)["priorityClassName"] for w in workloads(overlay).values()} <= known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_secret_is_in_clear(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == {}
    clear = {
        f"{o['metadata']['name']}.{key}"
        for o in of_kind(overlay, "ConfigMap").values()
        for key, value in o["data"].items()
        if looks_secret(REFERENCE.sub("", value))
    }
    assert clear == set()


def test_nothing_secret_is_in_any_file() -> None:
    files = [file for file in KUBERNETES.rglob("*") if file.suffix in {".yaml", ".env", ".sql"}]
    kinds = [re.findall(r"^kind: (\w+)", file.read_text(), re.MULTILINE) for file in files]
    assert "Secret" not in {kind for of_file in kinds for kind in of_file}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_has_replicas_survives_the_drain_of_a_node(overlay: str) -> None:
    """A budget for each, and none for what is alone: it would hold the drain up for ever."""
    budgets = of_kind(overlay, "PodDisruptionBudget")
    scaled = {
        o["spec"]["scaleTargetRef"]["name"]
        for o in rendered(overlay)
        if o["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
    }
    deployments = of_kind(overlay, "Deployment")
    for name, workload in deployments.items():
        replicas = workload["spec"].get("replicas")
        # An autoscaler and a number would fight over it at each `kubectl apply`.
        assert (replicas is None) == (name in scaled), name
        if replicas is None or replicas > 1:
            assert name in budgets, name
            assert pod(workload)["topologySpreadConstraints"], name
    for budget in budgets.values():
        assert budget["spec"]["maxUnavailable"] == 1
        assert any(matches(budget["spec"]["selector"], pod_labels(w)) for w in deployments.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_match_their_own_pods_alone(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        if workload["kind"] == "Job":
            continue
        taken = {
            other
            for other, candidate in workloads(overlay).items()
            if matches(workload["spec"]["selector"], pod_labels(candidate))
        }
        assert taken == {name}
        for constraint in pod(workload).get("topologySpreadConstraints", []):
            assert matches(constraint["labelSelector"], pod_labels(workload)), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_component_is_named_after_itself(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        assert pod_labels(workload)[COMPONENT] == name


def referenced(overlay: str) -> set[str]:
    """Name the ConfigMaps that pods mount or read."""
    names: set[str] = set()
    for workload in workloads(overlay).values():
        specification = pod(workload)
        names |= {v["configMap"]["name"] for v in specification["volumes"] if "configMap" in v}
        for container in specification["containers"]:
            names |= {
                source["configMapRef"]["name"]
                for source in container.get("envFrom", [])
                if "configMapRef" in source
            }
    return names


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_config_maps_exist_and_are_used(overlay: str) -> None:
    maps = of_kind(overlay, "ConfigMap").keys()
    used = referenced(overlay)
    assert used <= maps
    # Grafana finds its dashboards by their label.
    assert {name for name in maps - used if name != "dashboards"} == set()


def test_kustomize_reads_every_file() -> None:
    """A manifest that no kustomization names would be deployed by nobody."""
    named: set[Path] = set()
    for file in KUBERNETES.rglob("kustomization.yaml"):
        text = yaml.safe_load(file.read_text())
        lists = ("resources", "components", "configurations")
        entries = [entry for each in lists for entry in text.get(each, [])]
        entries += [p["path"] for p in text.get("patches", []) if "path" in p]
        for generator in text.get("configMapGenerator", []):
            entries += [*generator.get("files", []), *generator.get("envs", [])]
        named |= {(file.parent / entry).resolve() for entry in entries}
    files = {
        file.resolve()
        for file in KUBERNETES.rglob("*")
        if file.suffix in {".yaml", ".env", ".sql"}
        and file.name != "kustomization.yaml"
        and file.parent.name != "helm"
    }
    assert files - named == set()
