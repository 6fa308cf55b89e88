"""Pods start their programs as those want it: by options that exist, for hosts that are let in."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from dagster._cli.api import grpc_command
from mlflow.environment_variables import MLFLOW_SERVER_ALLOWED_HOSTS

from tests.deploy.manifests import OVERLAYS, config_map, of_kind, opened_ports, pod, workloads
from tests.deploy.monitoring import DEPLOY
from visionops_assets.settings import Settings
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.triton import triton


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ours_run_from_one_image(overlay: str) -> None:
    """Two versions of the code on one schema would be an upgrade that stopped half way."""
    images = {
        container["image"]
        for workload in workloads(overlay).values()
        for container in pod(workload)["containers"]
        if re.search(r"\bapp[:@]", container["image"])
    }
    assert len(images) == 1
    if overlay != "local":
        assert images.pop().startswith("registry.visionops.example/")


def test_triton_knows_its_options() -> None:
    packages = Settings().triton_environment / "lib" / "python3.11" / "site-packages"
    program = packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    libraries = (sysconfig.get_config_var("LIBDIR"), str(packages / "nvidia_pytriton.libs"))
    told = subprocess.run(
        [program, "--help"],
        env=os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(libraries)},
        capture_output=True,
        text=True,
        check=False,
    )
    known = set(re.findall(r"--[a-z][a-z-]+", told.stdout + told.stderr))
    [container] = pod(workloads("production")["triton"])["containers"]
    given = {argument.partition("=")[0] for argument in container["args"]}
    assert given
    assert given - known == set()


def test_tritons_other_protocols_want_the_key_as_on_one_machine() -> None:
    [container] = pod(workloads("production")["triton"])["containers"]
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    server = triton(Plan(Settings(), DEFAULT_PORTS, frozenset()))
    by_place = [
        {a.partition(":")[0] for a in arguments if "-restricted-" in a}
        for arguments in (container["args"], services["triton"]["command"], server.command)
    ]
    assert len(by_place[0]) == 2
    assert by_place[0] == by_place[1] == by_place[2]


def test_options_of_triton_take_variables_that_it_has() -> None:
    """Kubernetes leaves `$(NAME)` as it is if there is no such variable."""
    for name in ("triton", "mlflow"):
        [container] = pod(workloads("production")[name])["containers"]
        has = {v["name"] for v in container["env"]} | config_map("production", "visionops").keys()
        wanted = set(re.findall(r"\$\(([A-Z0-9_]+)\)", " ".join(container["args"])))
        assert wanted
        assert wanted <= has
        # Variables do not see those of a ConfigMap, arguments do.
        assert not any("$(" in v.get("value", "") for v in container["env"])


def test_the_code_server_takes_its_options() -> None:
    [container] = pod(workloads("production")["dagster-code"])["containers"]
    assert container["args"][:4] == ["-m", "dagster", "api", "grpc"]
    context = grpc_command.make_context("grpc", container["args"][4:])
    assert str(context.params["port"]) == str(container["ports"][0]["containerPort"])
    assert context.params["host"] == "0.0.0.0"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_mlflow_lets_its_clients_in(overlay: str) -> None:
    """It refuses requests to a host that it does not know by name."""
    [container] = pod(workloads(overlay)["mlflow"])["containers"]
    given = {v["name"]: v.get("value") for v in container["env"]}
    allowed = given[MLFLOW_SERVER_ALLOWED_HOSTS.name].split(",")
    host = urlsplit(config_map(overlay, "visionops")["VISIONOPS_MLFLOW_TRACKING_URI"]).netloc
    assert host in allowed
    assert "*" not in allowed


def test_topics_are_those_of_the_settings() -> None:
    settings = Settings()
    topics = {
        settings.kafka_media_topic,
        settings.kafka_predictions_topic,
        settings.kafka_dead_letter_topic,
    }
    made = of_kind("production", "KafkaTopic")
    assert made.keys() == topics
    [cluster] = of_kind("production", "Kafka")
    [pool] = of_kind("production", "KafkaNodePool").values()
    assert pool["metadata"]["labels"]["strimzi.io/cluster"] == cluster
    for topic in made.values():
        assert topic["metadata"]["labels"]["strimzi.io/cluster"] == cluster
        assert topic["spec"]["replicas"] <= pool["spec"]["replicas"]
    servers = config_map("production", "visionops")["VISIONOPS_KAFKA_BOOTSTRAP_SERVERS"]
    assert servers == f"{cluster}-kafka-bootstrap:9093"


ZONE = "topology.kubernetes.io/zone"


def test_kafka_and_postgresql_survive_a_zone_and_are_scraped() -> None:
    """Rules tell them by `job`, which a monitor takes from the operator's label of their pods."""
    [kafka] = of_kind("staging", "Kafka").values()
    [pool] = of_kind("staging", "KafkaNodePool").values()
    [postgresql] = of_kind("staging", "Cluster").values()
    assert kafka["spec"]["kafka"]["rack"] == {"topologyKey": ZONE}
    spreads = (pool["spec"]["template"]["pod"], postgresql["spec"])
    for name, spread in zip(("kafka", "postgresql"), spreads, strict=True):
        [constraint] = spread["topologySpreadConstraints"]
        assert constraint["topologyKey"] == ZONE
        monitor = of_kind("staging", "PodMonitor")[name]["spec"]
        selected = monitor["selector"]["matchLabels"]
        assert selected[monitor["jobLabel"]] == name
        assert constraint["labelSelector"]["matchLabels"].items() <= selected.items()
        assert opened_ports("staging", selected, "ingress") & {9187, 9404}


def test_the_operator_makes_the_three_databases_each_with_its_owner() -> None:
    [(name, cluster)] = of_kind("staging", "Cluster").items()
    first = cluster["spec"]["bootstrap"]["initdb"]
    secrets = {first["owner"]: first["secret"]["name"]} | {
        role["name"]: role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]
    }
    databases = {first["database"]: first["owner"]}
    for database in of_kind("staging", "Database").values():
        assert database["spec"]["cluster"]["name"] == name
        databases[database["spec"]["name"]] = database["spec"]["owner"]
    assert databases == {each: each for each in ("visionops", "dagster", "mlflow")}
    fetched = of_kind("staging", "ExternalSecret")
    for owner in databases.values():
        target = fetched[secrets[owner]]["spec"]["target"]
        assert target["name"] == secrets[owner]
        assert target["template"]["type"] == "kubernetes.io/basic-auth"
        assert target["template"]["data"]["username"] == owner
    labels = {"cnpg.io/cluster": name}
    assert opened_ports("staging", labels, "ingress") == {5432, 8000, 9187}
    assert cluster["spec"]["postgresql"]["synchronous"]["number"] >= 1


def test_the_archive_is_of_the_cluster_and_in_the_bucket() -> None:
    [(name, cluster)] = of_kind("staging", "Cluster").items()
    [(archive, store)] = of_kind("staging", "ObjectStore").items()
    [plugin] = cluster["spec"]["plugins"]
    [backup] = of_kind("staging", "ScheduledBackup").values()
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] == archive
    assert backup["spec"]["cluster"]["name"] == name
    assert backup["spec"]["pluginConfiguration"]["name"] == plugin["name"]
    bucket = config_map("staging", "visionops")["VISIONOPS_S3_BUCKET"]
    assert store["spec"]["configuration"]["destinationPath"] == f"s3://{bucket}/archive"


def test_the_templates_of_models_are_in_the_image() -> None:
    root = config_map("production", "visionops")["VISIONOPS_PROJECT_ROOT"]
    dockerfile = Path(__file__).parents[2] / "deploy" / "images" / "app.Dockerfile"
    assert f"COPY triton_models {root}/triton_models" in dockerfile.read_text()
    assert f"COPY deploy/workspace.yaml {root}/deploy/" in dockerfile.read_text()
