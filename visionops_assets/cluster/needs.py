"""The rules of `visionops preflight`: what an overlay needs, and a cluster lacks. Pure."""

from collections.abc import Callable, Iterator

from visionops_assets.cluster.facts import Cluster, Object, amount, pods, wanted
from visionops_assets.findings import Finding, Grade

LEAST_VERSION = (1, 30)
"""Sidecars among the init containers (1.29), and a pause of a hook before a pod ends (1.30)."""
OPERATORS = {
    "barmancloud.cnpg.io": "the Barman Cloud plugin of CloudNativePG: helm/cloudnative-pg.yaml",
    "external-secrets.io": "the operator of external-secrets.io",
    "gateway.networking.k8s.io": "the Gateway API, with one of its implementations",
    "kafka.strimzi.io": "Strimzi 0.49 or later: helm/strimzi-kafka-operator.yaml",
    "keda.sh": "KEDA (keda.sh)",
    "monitoring.coreos.com": "the operator of Prometheus: helm/kube-prometheus-stack.yaml",
    "postgresql.cnpg.io": "CloudNativePG 1.29 or later: helm/cloudnative-pg.yaml",
}
"""By group: who serves its kinds."""
ENFORCERS = {
    *("anetd", "antrea-agent", "azure-npm", "calico-node", "canal", "cilium", "kube-router"),
    *("weave-net", "aws-eks-nodeagent", "aws-network-policy-agent"),
}
"""Programs of nodes that enforce network policies. Without one, policies say nothing."""
GPU = "nvidia.com/gpu"
METRICS_API = "v1beta1.metrics.k8s.io"
EXTERNAL_METRICS_API = "v1beta1.external.metrics.k8s.io"


def preflight(objects: list[Object], cluster: Cluster) -> list[Finding]:
    """Return a finding for each thing that the objects need."""
    return [finding for check in CHECKS for finding in check(objects, cluster)]


def _version(_objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    is_enough = cluster.version >= LEAST_VERSION
    least = "{}.{}".format(*LEAST_VERSION)
    yield _finding(
        "Kubernetes",
        is_enough,
        "Version {}.{}.".format(*cluster.version),
        f"Upgrade it to {least} or later: pods use what came with it.",
    )


def _operators(objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    needed: dict[str, set[tuple[str, str, str]]] = {}
    for each in objects:
        group, _, version = each["apiVersion"].rpartition("/")
        if "." in group and (group in OPERATORS or not group.endswith(".k8s.io")):
            needed.setdefault(group, set()).add((group, each["kind"], version))
    for group, kinds in sorted(needed.items()):
        missing = sorted(f"{kind} {version}" for _, kind, version in kinds - cluster.kinds)
        found = f"Not there: {', '.join(missing)}." if missing else "Its kinds are there."
        yield _finding(group, not missing, found, f"Install {OPERATORS.get(group, group)}.")


def _metrics(objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    kinds = {each["kind"] for each in objects}
    for kind, subject, api in (
        ("HorizontalPodAutoscaler", "metrics-server", METRICS_API),
        ("ScaledObject", "KEDA's metrics", EXTERNAL_METRICS_API),
    ):
        if kind in kinds:
            is_there = api in cluster.apis
            found = f"{api} answers." if is_there else f"{api} does not answer."
            yield _finding(subject, is_there, found, "Without it nothing scales by itself.")


def _storage(_objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    name = cluster.default_storage_class
    found = f"{name} is the default." if name else "No StorageClass is the default."
    yield _finding("StorageClass", bool(name), found, "Volumes of ours name none: mark one so.")


def _policies(_objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    found = sorted(cluster.node_programs & ENFORCERS)
    if found:
        advice = "On EKS it must be switched on (enableNetworkPolicy)." if "aws" in found[0] else ""
        yield Finding("network policies", Grade.OK, f"{found[0]} runs on the nodes.", advice)
        return
    yield Finding(
        "network policies",
        Grade.WARN,
        "No program that enforces them is known on the nodes.",
        "Without one every pod of the cluster reaches every server.",
    )


def _gpus(objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    for name, pod in pods(objects):
        limits = [each.get("resources", {}).get("limits", {}) for each in pod["containers"]]
        if not any(GPU in each for each in limits):
            continue
        selector = pod.get("nodeSelector", {})
        labelled = [n for n in cluster.nodes if selector.items() <= n.labels.items()]
        ready = [n for n in labelled if amount(n.allocatable.get(GPU, "0")) >= 1]
        text = ", ".join(f"{key}={value}" for key, value in selector.items()) or "any label"
        if ready:
            yield Finding(f"GPU of {name}", Grade.OK, f"{len(ready)} nodes with {text} have one.")
        elif labelled:
            yield Finding(
                f"GPU of {name}",
                Grade.BAD,
                f"Nodes with {text} offer no {GPU}.",
                "Install the driver and NVIDIA's device plugin, or its GPU operator.",
            )
        else:
            yield Finding(
                f"GPU of {name}",
                Grade.WARN,
                f"No node has {text}.",
                "An autoscaler must start one, and GPU Feature Discovery label it.",
            )


def _room(objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    for resource in ("cpu", "memory", "ephemeral-storage"):
        most = max((amount(n.allocatable.get(resource, "0")) for n in cluster.nodes), default=0)
        asked = [(name, r[resource]) for name, r in wanted(objects) if resource in r]
        too_much = sorted({f"{name} ({q})" for name, q in asked if amount(q) > most})
        subject = f"room: {resource}"
        if too_much:
            found = f"No node of now has as much as {', '.join(too_much)}."
            yield Finding(subject, Grade.WARN, found, "An autoscaler must start larger ones.")
        else:
            yield Finding(subject, Grade.OK, "Each pod fits a node.")


def _edge(objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    for each in objects:
        if each["kind"] != "Gateway":
            continue
        name = each["spec"]["gatewayClassName"]
        yield _finding(
            "GatewayClass", name in cluster.gateway_classes, f"{name}.", "It must be there."
        )
        issuer = each["metadata"].get("annotations", {}).get("cert-manager.io/cluster-issuer")
        if issuer:
            advice = "Install cert-manager, and make this ClusterIssuer: the edge has no TLS else."
            yield _finding("cert-manager", issuer in cluster.issuers, f"{issuer}.", advice)
        is_labelled = any(n.get("visionops/edge") == "true" for n in cluster.namespaces.values())
        advice = "Label the namespace of the gateway's pods `visionops/edge=true`."
        yield _finding("the edge's namespace", is_labelled, "By its label.", advice)


def _monitoring(_objects: list[Object], cluster: Cluster) -> Iterator[Finding]:
    is_there = "monitoring" in cluster.namespaces
    advice = "Policies let Prometheus in from the namespace `monitoring` alone."
    yield _finding("monitoring", is_there, "The namespace of Prometheus.", advice)


def _finding(subject: str, is_well: bool, finding: str, advice: str) -> Finding:
    if is_well:
        return Finding(subject, Grade.OK, finding)
    return Finding(subject, Grade.BAD, finding, advice)


CHECKS: tuple[Callable[[list[Object], Cluster], Iterator[Finding]], ...] = (
    *(_version, _operators, _metrics, _storage, _policies, _gpus, _room, _edge, _monitoring),
)
