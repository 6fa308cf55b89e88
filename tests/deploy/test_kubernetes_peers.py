"""The exact table of who may do what: a peer, a verb or a port more is seen here, and decided on.

Other tests hold that what must work is open; these, that nothing else is.
"""

from typing import Any

import pytest

from tests.deploy.manifests import OVERLAYS, Manifest, of_kind, rendered

EDGE, MONITORING = "namespace visionops/edge=true", "namespace monitoring"
RUNS = "pods visionops/role=run"
NODE_LOCAL = "169.254.20.10/32"
ANYWHERE = "0.0.0.0/0 but 169.254.169.254/32"
OPERATOR = "namespace cnpg-system, pods app.kubernetes.io/name=cloudnative-pg"
Rules = dict[str, list[tuple[set[str], set[int]]]]
"""By policy: its rules, each with the peers and the ports; no port is every port."""

INGRESS: Rules = {
    "ingest": [({EDGE, MONITORING, RUNS, "pods of camera"}, {8080})],
    "gateway": [({EDGE, MONITORING, RUNS}, {8081}), ({EDGE}, {8084})],
    "camera": [({MONITORING, RUNS}, {8082})],
    "alerts": [({MONITORING, RUNS}, {8083})],
    "exporter": [({MONITORING, RUNS}, {9100})],
    "triton": [
        ({RUNS, "pods of gateway", "pods of releaser"}, {8001}),
        ({MONITORING, RUNS}, {8002}),
    ],
    "mlflow": [({EDGE, RUNS, "pods of dagster-code"}, {5000})],
    "dagster-code": [({RUNS, "pods of dagster-webserver", "pods of dagster-daemon"}, {4266})],
    "dagster-webserver": [({EDGE, "pods of releaser"}, {3000})],
}


def of_kafka(port: int) -> Rules:
    return {"kafka": [({"pods visionops/reaches-kafka=true"}, {port})]}


BY_OPERATOR: Rules = {"kafka": [*of_kafka(9093)["kafka"], ({MONITORING}, {9404})]}
OF_POSTGRES = ({"pods visionops/reaches-postgres=true"}, {5432})
MORE_INGRESS: dict[str, Rules] = {
    "local": of_kafka(9092)
    | {
        "postgresql": [OF_POSTGRES],
        "seaweedfs": [({"pods visionops/reaches-s3=true"}, {8333})],
    },
    "staging": BY_OPERATOR
    | {
        "postgresql": [
            OF_POSTGRES,
            ({"pods cnpg.io/cluster=postgresql", OPERATOR}, {5432, 8000}),
            ({MONITORING}, {9187}),
        ]
    },
    "production": BY_OPERATOR,
}
MORE_INGRESS["gke"] = MORE_INGRESS["staging"]
EGRESS: Rules = {
    "each-other": [({"pods app.kubernetes.io/part-of=visionops"}, set())],
    "names": [
        (
            {
                "namespace kube-system, pods k8s-app=kube-dns",
                "namespace kube-system, pods k8s-app=node-local-dns",
                NODE_LOCAL,
            },
            {53},
        )
    ],
    "reaches-cameras": [({ANYWHERE}, set())],
    "reaches-kafka": [({"every namespace", ANYWHERE}, {9092, 9093, 9094, 9096, 9098})],
    "reaches-kubernetes": [({ANYWHERE}, {443, 6443})],
    "reaches-monitoring": [({MONITORING}, {9090, 9093})],
    "reaches-postgres": [({"every namespace", ANYWHERE}, {5432})],
}
OF_OPERATORS = ({ANYWHERE}, {443, 6443})
S3: Rules = {"reaches-s3": [({"every namespace", ANYWHERE}, {443})]}
BROKERS: Rules = {"kafka": [({"pods strimzi.io/cluster=kafka"}, set()), OF_OPERATORS]}
MORE_EGRESS: dict[str, Rules] = {
    "local": {"reaches-s3": [({"every namespace", ANYWHERE}, {8333})]},
    "staging": S3
    | BROKERS
    | {"postgresql": [({"pods cnpg.io/cluster=postgresql"}, {5432, 8000}), OF_OPERATORS]},
    "production": S3 | BROKERS,
}
METADATA = "169.254.169.254/32"
MORE_EGRESS["gke"] = MORE_EGRESS["staging"] | {
    "archive": [({METADATA, "169.254.169.252/32"}, {80, 988})],
    "cloud-dns": [({METADATA}, {53})],
}
VERBS = {
    ("batch", "jobs"): {"create", "delete", "get", "list", "watch"},
    ("batch", "jobs/status"): {"get"},
    ("", "pods"): {"delete", "get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"list"},
}
"""Of Dagster: it starts and watches jobs. A pod that it could make could be of any account."""


def named(selector: Manifest) -> list[str]:
    """Write a selector of labels, one text for each thing that it takes."""
    for expression in selector.get("matchExpressions", []):
        assert expression["key"] == "app.kubernetes.io/component"
        assert expression["operator"] == "In"
        assert "matchLabels" not in selector
        return [f"of {value}" for value in expression["values"]]
    return [" ".join(f"{key}={value}" for key, value in selector.get("matchLabels", {}).items())]


def peers(peer: Manifest) -> list[str]:
    """Write one peer of a rule."""
    if "ipBlock" in peer:
        without = peer["ipBlock"].get("except", [])
        return [peer["ipBlock"]["cidr"] + "".join(f" but {cidr}" for cidr in without)]
    texts = [""]
    if "namespaceSelector" in peer:
        [text] = named(peer["namespaceSelector"])
        name = text.removeprefix("kubernetes.io/metadata.name=")
        texts = [f"namespace {name}" if name else "every namespace"]
    if "podSelector" not in peer:
        return texts
    return [
        f"{text}, pods {found}".removeprefix(", ")
        for text in texts
        for found in named(peer["podSelector"])
    ]


def rules_of(overlay: str, direction: str, side: str) -> Rules:
    found: Rules = {}
    for name, policy in of_kind(overlay, "NetworkPolicy").items():
        for rule in policy["spec"].get(direction, []):
            who = {text for peer in rule.get(side, []) for text in peers(peer)}
            assert all(isinstance(port["port"], int) for port in rule.get("ports", []))
            assert not any("endPort" in port for port in rule.get("ports", []))
            ports = {port["port"] for port in rule.get("ports", [])}
            found.setdefault(name, []).append((who, ports))
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_these_peers_may_connect_and_no_others(overlay: str) -> None:
    assert rules_of(overlay, "ingress", "from") == INGRESS | MORE_INGRESS[overlay]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_may_connect_to_these_and_no_others(overlay: str) -> None:
    assert rules_of(overlay, "egress", "to") == EGRESS | MORE_EGRESS[overlay]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_policy_is_about_the_pods_of_its_name(overlay: str) -> None:
    own = {
        "kafka": {"local": "app.kubernetes.io/component=kafka"},
        "postgresql": {
            "local": "app.kubernetes.io/component=postgresql",
            "staging": "cnpg.io/cluster=postgresql",
            "gke": "cnpg.io/cluster=postgresql",
        },
    }
    for name, policy in of_kind(overlay, "NetworkPolicy").items():
        if name == "default-deny" or policy["spec"]["policyTypes"] == ["Egress"]:
            continue
        others = "strimzi.io/cluster=kafka" if name == "kafka" else ""
        expected = own.get(name, {}).get(overlay) or others or f"app.kubernetes.io/component={name}"
        assert named(policy["spec"]["podSelector"]) == [expected]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dagster_may_do_these_things_and_no_others(overlay: str) -> None:
    kinds = {manifest["kind"] for manifest in rendered(overlay)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    [(name, role)] = of_kind(overlay, "Role").items()
    assert name == "dagster"
    found: dict[Any, set[str]] = {}
    for rule in role["rules"]:
        assert rule.keys() == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    assert found == VERBS
    [binding] = of_kind(overlay, "RoleBinding").values()
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == "dagster"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "dagster", "namespace": "visionops"}
    ]


@pytest.mark.parametrize("overlay", ["staging", "production", "gke"])
def test_what_has_a_budget_has_a_second_replica(overlay: str) -> None:
    """Alone it would be away while its node is drained. A laptop's cluster has one of each."""
    least = {
        scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"].get(
            "minReplicas", scaler["spec"].get("minReplicaCount", 0)
        )
        for scaler in rendered(overlay)
        if scaler["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
    }
    for name, deployment in of_kind(overlay, "Deployment").items():
        least.setdefault(name, deployment["spec"].get("replicas", 1))
    budgets = of_kind(overlay, "PodDisruptionBudget").keys()
    assert {"ingest", "gateway", "triton"} <= budgets
    assert {name: least[name] for name in budgets if least[name] < 2} == {}
