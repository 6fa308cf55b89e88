"""The manifests of our services, as `roster/ours.py` declares them: `make manifests` writes them.

An overlay of `deploy/kubernetes` changes them by patches, as it does the other manifests.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from visionops_assets.cluster.service_pods import COMPONENT, deployment, selector
from visionops_assets.roster.service import Address, Service

Manifest = dict[str, Any]
"""One object of Kubernetes, as YAML has it."""

HEAD = "# Built of visionops_assets/roster/ours.py by `make manifests`; not to be edited.\n"
MONITORS, SETTINGS = "monitors.yaml", "addresses.env"
_EDGE = {"namespaceSelector": {"matchLabels": {"visionops/edge": "true"}}}
_MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
# Runs measure the servers where Prometheus does not know them, and are clients.
_RUNS = {"podSelector": {"matchLabels": {"visionops/role": "run"}}}


def files(services: Sequence[Service]) -> dict[str, str]:
    """Return the files of `base/services` by name: a file per service, and what names them all."""
    ours = [service for service in services if service.pods]
    names = [f"{service.name}.yaml" for service in ours]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [*names, MONITORS],
    }
    written = {
        f"{service.name}.yaml": f"# {service.says}\n" + _texts(of_service(service, ours))
        for service in ours
    }
    written |= {
        MONITORS: _texts(monitors(ours)),
        "kustomization.yaml": _texts([kustomization]),
        SETTINGS: "".join(f"{name}={value}\n" for name, value in addresses(ours).items()),
    }
    return {name: HEAD + text for name, text in written.items()}


def of_service(service: Service, services: Iterable[Service]) -> list[Manifest]:
    """Return everything that one service is on a cluster; `services` may be its clients."""
    found = [deployment(service)]
    if service.addresses:
        found += [_service(service), _policy(service, services)]
    if service.pods and service.pods.are_several:
        found.append(_budget(service))
    if service.pods and service.pods.most:
        found.append(_scaler(service, service.pods.replicas, service.pods.most))
    return found


def monitors(services: Iterable[Service]) -> Iterator[Manifest]:
    """Yield what Prometheus' operator scrapes: rules tell servers by `job`, their component."""
    scraped = [service for service in services if service.addresses]
    alike = [service.name for service in scraped if not service.has_own_job_label]
    expression = {"key": COMPONENT, "operator": "In", "values": alike}
    yield _monitor("services", {"matchExpressions": [expression]}, {})
    for service in scraped:
        if service.has_own_job_label:
            # Else Prometheus would write over it.
            labels = {"matchLabels": {COMPONENT: service.name}}
            yield _monitor(service.name, labels, {"honorLabels": True})


def addresses(services: Iterable[Service]) -> dict[str, str]:
    """Return the variables by which services are found: each has the name of its Service."""
    return {
        f"VISIONOPS_{address.setting.upper()}": address.at(service.name)
        for service in services
        for address in service.addresses
    }


def _service(service: Service) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "labels": {COMPONENT: service.name}},
        "spec": {
            "selector": selector(service)["matchLabels"],
            "ports": [_port(address) for address in service.addresses],
        },
    }


def _port(address: Address) -> Manifest:
    port = {
        "name": address.protocol,
        "port": address.number,
        "targetPort": address.protocol,
    }
    # HTTP/2 without TLS, which ends at the edge.
    return port | ({"appProtocol": "kubernetes.io/h2c"} if address.protocol == "grpc" else {})


def _policy(service: Service, services: Iterable[Service]) -> Manifest:
    """Say who may connect. Probes come from the node, which policies do not hold up."""
    clients = [each.name for each in services if service.name in (*each.needs, *each.calls)]
    rules = []
    for address in service.addresses:
        peers = [_EDGE] if address.is_public else []
        if address.protocol == "http":
            peers += [_MONITORING, _RUNS, *_pods_of(clients)]
        port = {"protocol": "TCP", "port": address.number}
        rules.append({"from": peers, "ports": [port]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": service.name},
        "spec": {
            "podSelector": {"matchLabels": {COMPONENT: service.name}},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _pods_of(names: list[str]) -> list[Manifest]:
    expression = {"key": COMPONENT, "operator": "In", "values": names}
    return [{"podSelector": {"matchExpressions": [expression]}}] if names else []


def _budget(service: Service) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": service.name},
        "spec": {"maxUnavailable": 1, "selector": selector(service)},
    }


def _scaler(service: Service, least: int, most: int) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": service.name},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": service.name,
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            # Uploads come in waves: what was started for one is kept for the next.
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


def _monitor(name: str, chosen: Manifest, more: Manifest) -> Manifest:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": name},
        "spec": {
            "jobLabel": COMPONENT,
            "selector": chosen,
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "15s"} | more],
        },
    }


def _texts(manifests: Iterable[Manifest]) -> str:
    # PyYAML would refer to what it wrote before where the same object comes twice.
    distinct = json.loads(json.dumps(list(manifests)))
    return str(yaml.safe_dump_all(distinct, sort_keys=False, width=100))
