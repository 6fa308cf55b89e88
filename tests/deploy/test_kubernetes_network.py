"""Who reaches whom: nobody, but where a policy says so, and there everybody who must."""

from ipaddress import ip_address, ip_network

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    Manifest,
    matches,
    of_kind,
    opened_ports,
    pod,
    pod_labels,
    workloads,
)
from visionops_assets.roster.ours import SERVICES

GKE = "../../../tests/deploy/gke"
"""Components for a cluster of GKE, which no overlay has."""
METADATA = ip_address("169.254.169.254")
NEEDS = {
    "VISIONOPS_POSTGRES_URL": "postgres",
    "VISIONOPS_DAGSTER_POSTGRES_URL": "postgres",
    "MLFLOW_BACKEND_STORE_URI": "postgres",
}
"""By a variable: the label `visionops/reaches-...` without which it is of no use."""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_denied_that_is_not_opened(overlay: str) -> None:
    deny = of_kind(overlay, "NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(overlay, "NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from"), f"{policy['metadata']['name']} lets everybody in"
            assert rule.get("ports"), f"{policy['metadata']['name']} opens every port"


@pytest.mark.parametrize("overlay", [*OVERLAYS, GKE])
def test_the_credentials_of_the_cloud_are_out_of_reach(overlay: str) -> None:
    """They are given out by HTTP. Where names are those of the cloud, the same address has them."""
    opened = [
        {port["port"] for port in rule.get("ports", [])}
        for policy in of_kind(overlay, "NetworkPolicy").values()
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer and reaches_metadata(peer["ipBlock"])
    ]
    names, archive = {53}, {80, 988}
    assert opened == {GKE: [names], "gke": [archive, names]}.get(overlay, [])


def test_of_all_pods_the_archiver_alone_gets_credentials_of_google() -> None:
    policy = of_kind("gke", "NetworkPolicy")["archive"]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"cnpg.io/cluster": "postgresql"}}
    for name, workload in workloads("gke").items():
        assert not matches(policy["podSelector"], pod_labels(workload)), name


def reaches_metadata(block: Manifest) -> bool:
    """Say whether a block of addresses has the one at which clouds give out credentials."""
    without = [ip_network(cidr) for cidr in block.get("except", [])]
    return METADATA in ip_network(block["cidr"]) and not any(METADATA in cidr for cidr in without)


@pytest.mark.parametrize(
    ("block", "reached"),
    [
        ({"cidr": "0.0.0.0/0"}, True),
        ({"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}, False),
        ({"cidr": "169.254.0.0/16", "except": ["169.254.20.10/32"]}, True),
        ({"cidr": "10.0.0.0/8"}, False),
    ],
)
def test_what_reaches_the_credentials_is_seen(block: Manifest, reached: bool) -> None:
    assert reaches_metadata(block) is reached


def test_an_edge_of_addresses_reaches_what_knows_its_users() -> None:
    policy = of_kind(GKE, "NetworkPolicy")["edge-addresses"]["spec"]
    public = {
        (service.name, address.number)
        for service in SERVICES
        for address in service.addresses
        if address.is_public
    }
    for name, workload in workloads(GKE).items():
        opened = matches(policy["podSelector"], pod_labels(workload))
        assert opened == (name in {service for service, _ in public}), name
    [rule] = policy["ingress"]
    assert {port["port"] for port in rule["ports"]} == {number for _, number in public}
    assert all(ip_network(peer["ipBlock"]["cidr"]).prefixlen >= 16 for peer in rule["from"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_open_the_ports_of_services(overlay: str) -> None:
    for workload in workloads(overlay).values():
        labels = pod_labels(workload)
        for service in of_kind(overlay, "Service").values():
            if not matches({"matchLabels": service["spec"]["selector"]}, labels):
                continue
            opened = opened_ports(overlay, labels, "ingress")
            # Triton's HTTP is for the probes of its node.
            wanted = {port["port"] for port in service["spec"]["ports"]} - {8000}
            assert wanted <= opened, service["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_reach_what_they_have_credentials_for(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        if workload["kind"] == "StatefulSet":
            continue
        [container] = pod(workload)["containers"]
        labels = pod_labels(workload)
        for variable in container.get("env", []):
            label = NEEDS.get(variable["name"])
            assert label is None or labels.get(f"visionops/reaches-{label}") == "true", name
        if pod(workload)["serviceAccountName"] in {"object-store", "triton", "dagster"}:
            assert labels.get("visionops/reaches-s3") == "true", name
        if labels.get("visionops/reaches-s3") == "true":
            assert opened_ports(overlay, labels, "egress") & {443, 8333}, name
