"""Who reaches whom: nobody, but where a policy says so, and there everybody who must."""

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    matches,
    of_kind,
    opened_ports,
    pod,
    pod_labels,
    workloads,
)

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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_credentials_of_the_cloud_are_out_of_reach(overlay: str) -> None:
    blocks = [
        peer["ipBlock"]
        for policy in of_kind(overlay, "NetworkPolicy").values()
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    assert all("169.254.169.254/32" in block["except"] for block in blocks)


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
