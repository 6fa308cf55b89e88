"""`visionops preflight`: what the overlays need is found missing, and found to be there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.deploy.custom_resources import GROUPS, is_custom
from tests.deploy.manifests import KUBERNETES, OVERLAYS, installed, rendered
from visionops_assets.cli import app
from visionops_assets.cluster.facts import Cluster, Node, amount, wanted
from visionops_assets.cluster.kubectl import Kubectl, render
from visionops_assets.cluster.needs import (
    EXTERNAL_METRICS_API,
    GPU,
    LEAST_VERSION,
    METRICS_API,
    OPERATORS,
    preflight,
)
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.findings import Finding, Grade

L4 = {"nvidia.com/gpu.product": "NVIDIA-L4"}
LARGE = {"cpu": "15890m", "memory": "60Gi", "ephemeral-storage": "95551679124", GPU: "1"}


def objects(overlay: str) -> list[Any]:
    return list(rendered(overlay))


def kinds(overlay: str) -> frozenset[tuple[str, str, str]]:
    custom = [each for each in rendered(overlay) if is_custom(each)]
    parts = [(*each["apiVersion"].split("/"), each["kind"]) for each in custom]
    return frozenset((group, kind, version) for group, version, kind in parts)


def whole(overlay: str) -> Cluster:
    """Return a cluster that has everything."""
    return Cluster(
        version=(1, 33),
        kinds=kinds(overlay),
        apis=frozenset({METRICS_API, EXTERNAL_METRICS_API}),
        default_storage_class="gp3",
        node_programs=frozenset({"cilium"}),
        nodes=(Node(L4, LARGE),),
        gateway_classes=frozenset({"visionops"}),
        issuers=frozenset({"visionops"}),
        namespaces={"monitoring": {}, "edge": {"visionops/edge": "true"}},
    )


def lacking(overlay: str, cluster: Cluster) -> dict[str, Finding]:
    found = preflight(objects(overlay), cluster)
    return {each.subject: each for each in found if each.grade is not Grade.OK}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_cluster_that_has_everything_lacks_nothing(overlay: str) -> None:
    assert lacking(overlay, whole(overlay)) == {}


@pytest.mark.parametrize(
    ("change", "subject", "grade"),
    [
        ({"version": (1, 29)}, "Kubernetes", Grade.BAD),
        ({"apis": frozenset({EXTERNAL_METRICS_API})}, "metrics-server", Grade.BAD),
        ({"apis": frozenset({METRICS_API})}, "KEDA's metrics", Grade.BAD),
        ({"default_storage_class": ""}, "StorageClass", Grade.BAD),
        ({"node_programs": frozenset({"kube-proxy"})}, "network policies", Grade.WARN),
        ({"nodes": (Node({}, LARGE),)}, "GPU of triton", Grade.WARN),
        ({"nodes": (Node(L4, LARGE | {GPU: "0"}),)}, "GPU of triton", Grade.BAD),
        ({"nodes": (Node(L4, LARGE | {"memory": "8Gi"}),)}, "room: memory", Grade.WARN),
        ({"gateway_classes": frozenset()}, "GatewayClass", Grade.BAD),
        ({"issuers": frozenset()}, "cert-manager", Grade.BAD),
        ({"namespaces": {"monitoring": {}}}, "the edge's namespace", Grade.BAD),
        ({"namespaces": {"edge": {"visionops/edge": "true"}}}, "monitoring", Grade.BAD),
    ],
)
def test_what_is_missing_is_found_and_nothing_else(
    change: dict[str, Any], subject: str, grade: Grade
) -> None:
    found = lacking("production", replace(whole("production"), **change))
    assert {name: each.grade for name, each in found.items()} == {subject: grade}
    assert found[subject].advice


def found_about(subject: str, some: list[Any], **change: Any) -> Finding:
    found = preflight(some, replace(whole("production"), **change))
    return next(each for each in found if each.subject == subject)


def test_the_least_version_is_enough() -> None:
    assert found_about("Kubernetes", [], version=LEAST_VERSION).grade is Grade.OK


def test_one_large_node_is_room_enough() -> None:
    small = Node(L4, {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", GPU: "1"})
    assert lacking("production", replace(whole("production"), nodes=(small, Node(L4, LARGE)))) == {}


@pytest.mark.parametrize(
    ("program", "advice"), [("cilium", ""), ("aws-eks-nodeagent", "enableNetworkPolicy")]
)
def test_on_eks_policies_must_be_switched_on(program: str, advice: str) -> None:
    found = found_about("network policies", [], node_programs=frozenset({program}))
    assert (found.grade, bool(found.advice)) == (Grade.OK, bool(advice))
    assert advice in found.advice


def test_a_pod_that_wants_any_gpu_is_told_of_any_node() -> None:
    container = {"name": "one", "resources": {"limits": {GPU: "1"}}}
    beside = {"name": "other", "resources": {"limits": {"cpu": "1"}}}
    pod = {"metadata": {}, "spec": {"containers": [container, beside]}}
    some = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}}
    found = found_about("GPU of any", [some | {"spec": {"template": pod}}])
    assert found.finding == "1 nodes with any label have one."


@pytest.mark.parametrize("group", sorted({group for group, _, _ in kinds("production")}))
def test_an_operator_that_is_missing_is_named(group: str) -> None:
    cluster = whole("production")
    others = frozenset(kind for kind in cluster.kinds if kind[0] != group)
    found = lacking("production", replace(cluster, kinds=others))
    assert found.keys() == {group}
    assert OPERATORS[group] in found[group].advice


def test_an_older_version_of_an_operator_is_found() -> None:
    cluster = whole("staging")
    older = {(g, k, "v1beta2" if g == "kafka.strimzi.io" else v) for g, k, v in cluster.kinds}
    found = lacking("staging", replace(cluster, kinds=frozenset(older)))
    assert found.keys() == {"kafka.strimzi.io"}
    assert "KafkaNodePool v1" in found["kafka.strimzi.io"].finding


def test_every_operator_of_the_overlays_is_known_here() -> None:
    assert OPERATORS.keys() == GROUPS.keys()


def test_pods_ask_for_no_more_disk_than_nodes_of_eks_have() -> None:
    """The kubelet keeps some of a disk of 20 GiB for itself."""
    for overlay in OVERLAYS:
        asked = [
            (name, amount(r.get("ephemeral-storage", "0"))) for name, r in wanted(objects(overlay))
        ]
        assert max(bytes_ for _, bytes_ in asked) <= 17 * 1024**3
        assert "step trained_model" in dict(asked)


@given(number=st.integers(0, 10**6))
def test_quantities_are_those_of_kubernetes(number: int) -> None:
    assert amount(str(number)) == number
    assert amount(f"{number}Ki") == number * 1024
    assert amount(f"{number}k") == number * 1000
    assert amount(f"{number}m") == pytest.approx(number / 1000)


ITEMS: dict[str, list[dict[str, Any]]] = {
    "nodes": [{"metadata": {"name": "n", "labels": L4}, "status": {"allocatable": LARGE}}],
    "namespaces": [
        {"metadata": {"name": "monitoring"}},
        {"metadata": {"name": "edge", "labels": {"visionops/edge": "true"}}},
    ],
    "apiservices": [
        {
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Available", "status": status}]},
        }
        for name, status in ((METRICS_API, "True"), (EXTERNAL_METRICS_API, "False"))
    ],
    "storageclasses": [
        {"metadata": {"name": "gp2"}},
        {
            "metadata": {
                "name": "gp3",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            }
        },
    ],
    "daemonsets": [
        {
            "metadata": {"name": "aws-node"},
            "spec": {"template": {"spec": {"containers": [{"name": "aws-eks-nodeagent"}]}}},
        }
    ],
    "clusterissuers": [{"metadata": {"name": "visionops"}}],
}
KUBECTL = """#!/usr/bin/env bash
# Answers as a cluster would; $FAKE has what. A kind that it does not know is an error.
[[ $1 == kustomize ]] && exec "$REAL" "$@"
echo "$@" >>"$FAKE/calls"
shift 2
[[ -e $FAKE/away ]] && { echo "connection refused" >&2; exit 1; }
case "$1 $2" in
  "version "*) echo '{"serverVersion": {"major": "1", "minor": "33+"}}' ;;
  "get customresourcedefinitions") cat "$FAKE/kinds" ;;
  *) cat "$FAKE/$2.json" ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl on PATH that answers from a folder."""
    monkeypatch.setenv("REAL", installed("kubectl"))
    monkeypatch.setenv("FAKE", str(tmp_path))
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for kind, items in ITEMS.items():
        (tmp_path / f"{kind}.json").write_text(json.dumps({"items": items}))
    (tmp_path / "kinds").write_text(
        "keda.sh ScaledObject v1alpha1\nkafka.strimzi.io Kafka v1 v1beta2\n"
    )
    return tmp_path


def test_a_cluster_is_seen_by_kubectl(fake: Path) -> None:
    seen = Kubectl("there").see()
    assert seen == Cluster(
        version=(1, 33),
        kinds=frozenset(
            {
                ("keda.sh", "ScaledObject", "v1alpha1"),
                ("kafka.strimzi.io", "Kafka", "v1"),
                ("kafka.strimzi.io", "Kafka", "v1beta2"),
            }
        ),
        apis=frozenset({METRICS_API}),
        default_storage_class="gp3",
        node_programs=frozenset({"aws-node", "aws-eks-nodeagent"}),
        nodes=(Node(L4, LARGE),),
        issuers=frozenset({"visionops"}),
        namespaces={"monitoring": {}, "edge": {"visionops/edge": "true"}},
    )
    calls = (fake / "calls").read_text().splitlines()
    assert all(
        call.startswith(("--context there get ", "--context there version ")) for call in calls
    )


def test_the_command_says_what_is_missing_and_fails(fake: Path) -> None:
    overlay = str(KUBERNETES / "overlays" / "production")
    done = CliRunner().invoke(app, ["preflight", overlay, "--context", "there"])
    assert done.exit_code == 1, done.output
    lines = done.output.splitlines()
    assert any(line.startswith("bad   external-secrets.io") for line in lines)
    assert any(line.startswith("ok    StorageClass") for line in lines)


def test_a_cluster_that_does_not_answer_is_said_so(fake: Path) -> None:
    (fake / "away").touch()
    with pytest.raises(ServerUnreachableError, match="connection refused"):
        Kubectl("there").see()


def test_an_overlay_is_rendered(fake: Path) -> None:
    assert render(KUBERNETES / "overlays" / "local") == list(rendered("local"))
