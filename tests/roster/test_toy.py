"""A service is declared once: all else follows, on one machine and on a cluster."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, Manifest, installed
from tests.roster.toy import TICKING, TOY
from visionops_assets.cluster.service_manifests import files
from visionops_assets.roster.ours import SERVICES
from visionops_assets.roster.service import Heartbeat, Service


def test_a_stack_starts_probes_scrapes_and_measures_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.roster.toy", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    server, port = found["port"]
    assert (server, found["default"]) == ("toy", "http://127.0.0.1:8099")
    assert found["env"]["VISIONOPS_TOY_URL"] == f"http://127.0.0.1:{port}"
    assert found["commands"] == [
        ["-m", "visionops_assets.services.toy"],
        ["-m", "visionops_assets.services.ticking"],
    ]
    assert found["needs"] == [["seaweedfs", "postgresql"], ["tansu", "toy"]]
    store = ["VISIONOPS_S3_ACCESS_KEY_ID", "VISIONOPS_S3_SECRET_ACCESS_KEY"]
    assert found["secrets"] == [
        ["VISIONOPS_ALERTS_KEY", "VISIONOPS_POSTGRES_URL", *store],
        ["VISIONOPS_KAFKA_PASSWORD"],
    ]
    assert found["is_well"] is True
    assert found["beats"] == [False, True]
    [[job, _, path]] = found["scraped"]
    assert (job, path) == ("toy", "/metrics")
    assert {"cpu", "requests", "error_rate", "latency"} <= set(found["measured"])
    # Who runs the toy elsewhere runs there whatever goes with it.
    assert found["beside"] == ["toy", "ticking"]


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Manifest]:
    """Render the overlay `local` of a tree in which `make manifests` ran with the two."""
    deploy = tmp_path_factory.mktemp("tree") / "deploy"
    shutil.copytree(KUBERNETES.parent, deploy)
    for name, text in files((*SERVICES, TOY, TICKING)).items():
        (deploy / "kubernetes" / "base" / "services" / name).write_text(text)
    rendered = subprocess.run(
        [installed("kubectl"), "kustomize", str(deploy / "kubernetes" / "overlays" / "local")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    objects = yaml.safe_load_all(rendered.stdout)
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def test_a_cluster_gets_every_object_of_it(overlay: dict[tuple[str, str], Manifest]) -> None:
    assert {kind for kind, name in overlay if name == "toy"} == {
        *("Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"),
        "HorizontalPodAutoscaler",
    }
    assert {kind for kind, name in overlay if name == "ticking"} == {"Deployment"}
    settings = overlay["ConfigMap", "visionops"]["data"]
    assert settings["VISIONOPS_TOY_URL"] == "http://toy:8099"
    monitor = overlay["ServiceMonitor", "services"]["spec"]["selector"]["matchExpressions"][0]
    assert "toy" in monitor["values"]
    assert "ticking" not in monitor["values"]


def test_its_pods_are_as_all_others(overlay: dict[tuple[str, str], Manifest]) -> None:
    specification = overlay["Deployment", "toy"]["spec"]["template"]["spec"]
    [container] = specification["containers"]
    assert specification["securityContext"]["runAsNonRoot"] is True
    assert container["envFrom"] == [{"configMapRef": {"name": "visionops"}}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    variables = {each["name"]: each for each in container["env"]}
    assert variables["VISIONOPS_TOY_URL"]["value"] == "http://0.0.0.0:8099"
    secret = variables["VISIONOPS_ALERTS_KEY"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "toys", "key": "VISIONOPS_ALERTS_KEY"}
    # By components/store-keys, which the overlay takes.
    assert "VISIONOPS_S3_SECRET_ACCESS_KEY" in variables
    [ticking] = overlay["Deployment", "ticking"]["spec"]["template"]["spec"]["containers"]
    assert "ticking.alive -mmin -7" in ticking["livenessProbe"]["exec"]["command"][-1]
    assert "VISIONOPS_S3_SECRET_ACCESS_KEY" not in {each["name"] for each in ticking["env"]}


def test_only_its_clients_may_connect(overlay: dict[tuple[str, str], Manifest]) -> None:
    [rule] = overlay["NetworkPolicy", "toy"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8099}]
    edge, monitoring, runs, clients = rule["from"]
    assert edge["namespaceSelector"]["matchLabels"] == {"visionops/edge": "true"}
    assert "monitoring" in str(monitoring)
    assert runs["podSelector"]["matchLabels"] == {"visionops/role": "run"}
    assert clients["podSelector"]["matchExpressions"][0]["values"] == ["ticking"]
    labels = overlay["Deployment", "ticking"]["spec"]["template"]["metadata"]["labels"]
    assert labels["visionops/reaches-kafka"] == "true"
    assert "visionops/reaches-postgres" not in labels


def test_a_service_without_a_sign_of_life_is_refused() -> None:
    with pytest.raises(ValueError, match="mute"):
        Service(name="mute", says="Says nothing.", needs=(), pods=None)
    heartbeat = Heartbeat(beside="ingest_url")
    with pytest.raises(ValueError, match="both"):
        Service(
            name="both",
            says="Too much.",
            addresses=TOY.addresses,
            heartbeat=heartbeat,
            needs=(),
            pods=None,
        )
