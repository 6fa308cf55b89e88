"""Kafka and PostgreSQL on a cluster: who is let in, who may do what, and what they are known by."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import (
    KUBERNETES,
    Manifest,
    config_map,
    containers,
    of_kind,
    opened_ports,
    pod,
    pod_labels,
    workloads,
)
from visionops_assets.settings import Settings

GUARDED = ("staging", "production", "gke")
TRUST = PurePosixPath("/etc/visionops/trust")
RUNS = yaml.safe_load((KUBERNETES / "base/dagster/dagster.yaml").read_text())["run_launcher"][
    "config"
]["run_k8s_config"]
OF_ACL = {
    "kafka-relay": {"media": "DW", "dead-letter": "DW"},
    "kafka-triton": {"predictions": "DW"},
    "kafka-dagster": {"media": "DRW", "predictions": "DRW", "dead-letter": "DR"},
}
"""By user: what each topic is used for, by the first letters of the operations."""


def listener(overlay: str) -> Manifest:
    [cluster] = of_kind(overlay, "Kafka").values()
    [found] = cluster["spec"]["kafka"]["listeners"]
    return dict(found)


def given(overlay: str, container: Manifest) -> dict[str, Any]:
    """Return the variables of a container: the text of each, or where it is taken from."""
    own = {v["name"]: v.get("value") or v["valueFrom"] for v in container.get("env", [])}
    return config_map(overlay, "visionops") | own


def speakers(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Yield the containers that speak to Kafka."""
    for name, workload in workloads(overlay).items():
        if pod_labels(workload).get("visionops/reaches-kafka") == "true":
            yield name, pod(workload)["containers"][0]


@pytest.mark.parametrize("overlay", GUARDED)
def test_kafka_lets_in_known_pods_with_a_password_by_tls(overlay: str) -> None:
    found = listener(overlay)
    assert found["tls"] is True
    assert found["authentication"] == {"type": "scram-sha-512"}
    # Without peers the operator would open it to every pod of the cluster.
    assert found["networkPolicyPeers"] == [
        {"podSelector": {"matchLabels": {"visionops/reaches-kafka": "true"}}}
    ]
    [cluster] = of_kind(overlay, "Kafka").values()
    assert cluster["spec"]["kafka"]["authorization"] == {"type": "simple"}
    assert "userOperator" in cluster["spec"]["entityOperator"]
    assert opened_ports(overlay, {"strimzi.io/cluster": "kafka"}, "ingress") == {
        found["port"],
        # What Prometheus reads.
        9404,
    }
    servers = config_map(overlay, "visionops")["VISIONOPS_KAFKA_BOOTSTRAP_SERVERS"]
    assert servers.endswith(f":{found['port']}")
    for workload in workloads(overlay).values():
        if pod_labels(workload).get("visionops/reaches-kafka") == "true":
            assert found["port"] in opened_ports(overlay, pod_labels(workload), "egress")


@pytest.mark.parametrize("overlay", GUARDED)
def test_each_speaker_is_a_user_with_its_own_password(overlay: str) -> None:
    users = {}
    for name, container in speakers(overlay):
        variables = given(overlay, container)
        assert variables["VISIONOPS_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert variables["VISIONOPS_KAFKA_SASL_MECHANISM"] == "SCRAM-SHA-512"
        user = variables["VISIONOPS_KAFKA_USER"]
        password = {"secretKeyRef": {"name": user, "key": "password"}}
        assert variables["VISIONOPS_KAFKA_PASSWORD"] == password, name
        users[name] = user
    assert users == {
        "relay": "kafka-relay",
        "triton": "kafka-triton",
        "dagster-code": "kafka-dagster",
    }
    of_runs = {each["name"]: each for each in RUNS["container_config"]["env"]}
    assert of_runs["VISIONOPS_KAFKA_PASSWORD"]["value_from"]["secret_key_ref"] == {
        "name": config_map(overlay, "visionops")["VISIONOPS_KAFKA_USER"],
        "key": "password",
        # The overlay `local` has no such Secret.
        "optional": True,
    }


@pytest.mark.parametrize("overlay", GUARDED)
def test_users_may_do_what_their_programs_do(overlay: str) -> None:
    found = {}
    for name, user in of_kind(overlay, "KafkaUser").items():
        assert (
            user["metadata"]["labels"] | {"strimzi.io/cluster": "kafka"}
            == user["metadata"]["labels"]
        )
        assert user["spec"]["authentication"] == listener(overlay)["authentication"]
        acls = user["spec"]["authorization"]["acls"]
        assert {acl["resource"]["patternType"] for acl in acls} == {"literal"}
        found[name] = {
            acl["resource"]["name"]: "".join(op[0] for op in acl["operations"]) for acl in acls
        }
    assert found == OF_ACL
    settings = Settings()
    topics = {settings.kafka_media_topic, settings.kafka_predictions_topic}
    assert {t for acl in found.values() for t in acl} == topics | {settings.kafka_dead_letter_topic}


@pytest.mark.parametrize("overlay", GUARDED)
def test_authorities_are_files_where_the_settings_look(overlay: str) -> None:
    settings = config_map(overlay, "visionops")
    assert settings["PGSSLMODE"] == "verify-full"
    named = {settings["PGSSLROOTCERT"], settings["VISIONOPS_KAFKA_CA_FILE"]}
    for name, workload in workloads(overlay).items():
        specification = pod(workload)
        [volume] = [v for v in specification["volumes"] if v["name"] == "trust"]
        assert files_of(volume["projected"]["sources"]) == named, name
        readers = specification["containers"] + [
            c for c in containers(specification) if c["name"] == "keeper"
        ]
        for container in readers:
            mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounted["trust"] == str(TRUST), name
    [volume] = [v for v in RUNS["pod_spec_config"]["volumes"] if v["name"] == "trust"]
    assert files_of(volume["projected"]["sources"]) == named
    assert {"name": "trust", "mount_path": str(TRUST), "read_only": True} in RUNS[
        "container_config"
    ]["volume_mounts"]


def files_of(sources: list[Manifest]) -> set[str]:
    """Return the files of a projected volume; none of them is a key."""
    items = [item for source in sources for item in source["secret"]["items"]]
    assert {item["key"] for item in items} == {"ca.crt"}
    return {str(TRUST / item["path"]) for item in items}


@pytest.mark.parametrize("overlay", ["local", *GUARDED])
def test_programs_start_again_when_a_secret_of_theirs_changes(overlay: str) -> None:
    for name, deployment in of_kind(overlay, "Deployment").items():
        annotations = deployment["metadata"].get("annotations", {})
        assert annotations.get("reloader.stakater.com/auto") == "true", name


@pytest.mark.parametrize("overlay", ["local", *GUARDED])
def test_models_have_an_instance_per_cpu_of_their_server(overlay: str) -> None:
    [container] = pod(workloads(overlay)["triton"])["containers"]
    instances = config_map(overlay, "visionops")["VISIONOPS_SERVING_INSTANCES"]
    assert container["resources"]["limits"]["cpu"] == instances
