from typing import Any

import pytest

from tests.hosts.cluster import KINDS, read_cluster
from tests.hosts.pods import Folder, Probe, read_template

CONTAINER: dict[str, Any] = {
    "command": ["server"],
    "args": ["--key=$(KEY)", "--at=$(ADDRESS)", "$(UNKNOWN)"],
    "envFrom": [{"configMapRef": {"name": "settings"}}],
    "env": [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "first"}}},
        {"name": "ADDRESS", "value": "$(HOST):80"},
    ],
    "ports": [{"name": "http", "containerPort": 8080}],
    "startupProbe": {"exec": {"command": ["test", "-e", "file"]}, "failureThreshold": 60},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
    "securityContext": {"readOnlyRootFilesystem": True},
    "volumeMounts": [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "program", "mountPath": "/etc/program"},
    ],
}
VOLUMES = [
    {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    {"name": "shm", "emptyDir": {"medium": "Memory"}},
    {"name": "program", "configMap": {"name": "program"}},
]


def workload(**changes: Any) -> dict[str, Any]:
    specification = {"containers": [CONTAINER | changes], "volumes": VOLUMES}
    return {"spec": {"template": {"spec": specification}}}


def test_a_template_has_what_the_manifest_says() -> None:
    template = read_template(
        "server", workload(), {"settings": {"HOST": "here"}}, {"keys": {"first": "secret"}}
    )
    assert template.program == ("server",)
    assert template.arguments == ("--key=secret", "--at=here:80", "$(UNKNOWN)")
    assert template.environment == {"HOST": "here", "KEY": "secret", "ADDRESS": "here:80"}
    assert template.startup == Probe(command=("test", "-e", "file"), failure_threshold=60)
    assert template.readiness == Probe("/ready", 8080, period_s=5)
    assert template.liveness is None
    assert template.folders == {"/tmp": Folder("tmp"), "/dev/shm": Folder("shm", in_memory=True)}
    assert (template.grace_s, template.has_read_only_root) == (30, True)


def test_a_secret_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="first"):
        read_template("server", workload(), {"settings": {}}, {"keys": {}})


def test_all_that_is_run_of_the_overlay_can_be_read() -> None:
    cluster = read_cluster()
    assert set(cluster.templates) == set(KINDS)
    for template in (*cluster.templates.values(), cluster.prepare):
        assert "$(" not in " ".join(template.arguments)
        assert template.environment["VISIONOPS_KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
    ports = {kind: cluster.templates[kind].readiness for kind in ("ingest", "gateway")}
    assert {kind: probe and probe.port for kind, probe in ports.items()} == {
        "ingest": 8080,
        "gateway": 8081,
    }


def test_triton_has_its_models_from_a_sidecar() -> None:
    triton = read_cluster().templates["triton"]
    (keeper,) = triton.sidecars
    assert keeper.folders["/models"] == triton.folders["/models"]
    assert keeper.folders["/tmp"] != triton.folders["/tmp"]
    assert keeper.startup is not None
    assert "VISIONOPS_POSTGRES_URL" in keeper.environment
    stores = [name for name in triton.environment if "S3_" in name and "KEY" in name]
    assert not stores, "models run there"
