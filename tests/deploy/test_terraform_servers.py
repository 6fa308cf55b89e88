"""The database and the queue of deploy/terraform, held against the overlays and the settings."""

import json
import re
from pathlib import Path

from tests.deploy.manifests import KUBERNETES, Manifest, of_kind
from tests.deploy.terraform import (
    LEAST,
    TERRAFORM,
    blocks,
    code,
    evaluated,
    everything,
    manifests,
    only,
    statements,
)
from visionops_assets.settings import Settings


def test_neither_is_made_unless_asked_for(tmp_path: Path) -> None:
    made = {kind for kind in evaluated(tmp_path, LEAST) if re.match("aws_(db|msk|vpc|sec)", kind)}
    assert made == set()


def test_the_database_is_kept() -> None:
    server = only("aws_db_instance")
    for name in (
        "storage_encrypted",
        "multi_az",
        "deletion_protection",
        "manage_master_user_password",
    ):
        assert server[name] is True, name
    assert server["publicly_accessible"] is False
    assert server["skip_final_snapshot"] is False
    assert server["backup_retention_period"] >= 7
    assert server["max_allocated_storage"] > server["allocated_storage"]
    parameters = {
        each["name"]: each["value"] for each in blocks(only("aws_db_parameter_group")["parameter"])
    }
    assert parameters["rds.force_ssl"] == "1"


def test_servers_are_of_the_versions_that_the_local_overlay_runs() -> None:
    servers = KUBERNETES / "overlays/local/servers"
    (postgresql,) = re.findall(r"image: postgres:(\d+)", (servers / "postgresql.yaml").read_text())
    (kafka,) = re.findall(r"image: apache/kafka:(\d+\.\d+)", (servers / "kafka.yaml").read_text())
    [cluster] = of_kind("staging", "Cluster").values()
    assert re.findall(r":(\d+)\.", cluster["spec"]["imageName"]) == [postgresql]
    assert only("aws_db_instance")["engine_version"] == postgresql
    assert only("aws_db_parameter_group")["family"] == f"postgres{postgresql}"
    assert only("aws_msk_cluster")["kafka_version"] == f"{kafka}.x.kraft"


def test_the_script_makes_the_databases_of_the_secrets() -> None:
    text = (TERRAFORM / "databases.sql").read_text()
    made = set(re.findall(r"^CREATE DATABASE (\w+) OWNER \1;", text, flags=re.MULTILINE))
    assert made == {"visionops", "dagster", "mlflow"}
    assert set(re.findall(r"^CREATE ROLE (\w+) LOGIN PASSWORD :'", text, re.MULTILINE)) == made


def test_only_the_cluster_reaches_the_servers() -> None:
    opened = {
        (each["from_port"], each["to_port"], each["ip_protocol"])
        for each in everything()["aws_vpc_security_group_ingress_rule"]
        if each["referenced_security_group_id"] == "sg-1" and "cidr_ipv4" not in each
    }
    assert opened == {(5432, 5432, "tcp"), (9098, 9098, "tcp")}
    assert len(everything()["aws_vpc_security_group_ingress_rule"]) == 2
    assert not any("ingress" in each for each in everything()["aws_security_group"])


def test_the_queue_loses_nothing_that_was_acknowledged() -> None:
    lines = only("aws_msk_configuration")["server_properties"].split()
    properties = dict(line.split("=") for line in lines)
    assert properties["default.replication.factor"] == "3"
    assert properties["min.insync.replicas"] == "2"
    assert properties["unclean.leader.election.enable"] == "false"
    assert properties["auto.create.topics.enable"] == "false"
    assert only("aws_msk_cluster")["number_of_broker_nodes"] == 3


def test_topics_are_those_of_strimzi_and_of_the_settings() -> None:
    topics = {
        each["name"]: (
            each["partition_count"],
            each["replication_factor"],
            {name: int(value) for name, value in json.loads(each["configs"]).items()},
        )
        for each in everything()["aws_msk_topic"]
    }
    assert topics == {
        each["metadata"]["name"]: (
            each["spec"]["partitions"],
            each["spec"]["replicas"],
            each["spec"]["config"],
        )
        for each in manifests("components/strimzi/topics.yaml")
    }
    fields = [name for name in Settings.model_fields if re.fullmatch(r"kafka_\w+_topic", name)]
    assert {Settings.model_fields[name].default for name in fields} == topics.keys()


def test_brokers_speak_tls_alone_and_know_roles() -> None:
    cluster = only("aws_msk_cluster")
    assert cluster["encryption_info"]["encryption_in_transit"]["client_broker"] == "TLS"
    asked = cluster["client_authentication"]
    assert (asked["unauthenticated"], asked["sasl"]["iam"]) == (False, True)
    [rule] = [r for r in everything()["aws_vpc_security_group_ingress_rule"] if "Kafka" in str(r)]
    policy = next(each for each in manifests("base/network/out.yaml") if is_of_kafka(each))
    [egress] = policy["spec"]["egress"]
    assert rule["from_port"] in {port["port"] for port in egress["ports"]}
    settings = code(TERRAFORM / "outputs.tf")
    assert '"VISIONOPS_KAFKA_SECURITY_PROTOCOL" => "SASL_SSL"' in settings
    assert '"VISIONOPS_KAFKA_SASL_MECHANISM" => "AWS_MSK_IAM"' in settings


def is_of_kafka(policy: Manifest) -> bool:
    return bool(policy["metadata"]["name"] == "reaches-kafka")


def test_roles_may_do_with_topics_what_users_of_strimzi_may() -> None:
    found: dict[str, dict[str, set[str]]] = {}
    for statement in statements("queue_access"):
        for arn in statement["resources"]:
            if statement["sid"] != "Connect":
                topic = arn.rpartition("/")[2]
                verbs = {action.partition(":")[2] for action in statement["actions"]}
                found.setdefault(statement["of"], {}).setdefault(topic, set()).update(verbs)
    names = {"DescribeTopic": "Describe", "ReadData": "Read", "WriteData": "Write"}
    given = {
        account: {topic: {names[verb] for verb in verbs} for topic, verbs in topics.items()}
        for account, topics in found.items()
    }
    users = {
        user["metadata"]["name"].removeprefix("kafka-"): {
            acl["resource"]["name"]: set(acl["operations"])
            for acl in user["spec"]["authorization"]["acls"]
        }
        for user in manifests("components/strimzi/users.yaml")
    }
    of_dagster = users.pop("dagster")
    assert {account: given.pop(account) for account in ("relay", "triton")} == users
    # The code server's account and that of what only reads are two here.
    assert given.pop("object-store") == of_dagster
    reads = {topic: verbs - {"Write"} for topic, verbs in of_dagster.items()}
    assert given == {account_of_steps(): reads}


def account_of_steps() -> str:
    (steps,) = manifests("base/dagster/steps.yaml")
    return str(steps["step_k8s_config"]["pod_spec_config"]["service_account_name"])
