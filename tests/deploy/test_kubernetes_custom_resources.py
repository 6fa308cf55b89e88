"""Custom resources of every overlay are what their operators take."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.build_schemas import PACKAGES, Reader
from tests.deploy.custom_resources import GROUPS, closed, is_custom, refusals
from tests.deploy.manifests import OVERLAYS, Manifest, rendered

KINDS = {
    "Cluster",
    "Database",
    "ExternalSecret",
    "GRPCRoute",
    "Gateway",
    "HTTPRoute",
    "Kafka",
    "KafkaNodePool",
    "KafkaTopic",
    "KafkaUser",
    "ObjectStore",
    "PodMonitor",
    "PrometheusRule",
    "ScaledObject",
    "ScheduledBackup",
    "SecretStore",
    "ServiceMonitor",
}
FREE = {"annotations", "config", "labels", "matchLabels", "limits", "parameters", "requests"}
"""Fields whose keys are the author's own."""


def custom(overlay: str) -> list[Manifest]:
    return [each for each in rendered(overlay) if is_custom(each)]


def one(kind: str) -> Manifest:
    """Return a copy of an object of a kind, to spoil."""
    both = [*custom("production"), *custom("staging")]
    return copy.deepcopy(next(each for each in both if each["kind"] == kind))


def mappings(value: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mappings of an object whose keys are fields; of a list, those of its first item."""
    if isinstance(value, list):
        yield from mappings(value[0], name)
    elif isinstance(value, dict) and name.rpartition(".")[2] not in FREE:
        yield name, value
        for key, each in value.items():
            yield from mappings(each, f"{name}.{key}")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_custom_resource_is_what_its_operator_takes(overlay: str) -> None:
    assert [refusal for each in custom(overlay) for refusal in refusals(each)] == []


def test_these_kinds_are_checked() -> None:
    both = {each["kind"] for overlay in ("staging", "production") for each in custom(overlay)}
    assert both == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_mistyped_field_is_refused_wherever_it_is(kind: str) -> None:
    manifest = one(kind)
    taken = []
    for name, mapping in mappings(manifest):
        mapping["mistyped"] = "x"
        if not list(refusals(manifest)):
            taken.append(name)
        del mapping["mistyped"]
    # What a trigger wants is known to the scaler alone.
    assert taken == ([".spec.triggers.metadata"] if kind == "ScaledObject" else [])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_another_version_is_refused(kind: str) -> None:
    manifest = one(kind)
    assert list(refusals(manifest | {"apiVersion": manifest["apiVersion"] + "beta9"}))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ExternalSecret", {"refreshInterval": "1h", "target": {"creationPolicy": "Mine"}}),
        ("SecretStore", {"provider": {"aws": {"service": "SecretManager", "region": "x"}}}),
        ("Gateway", {"gatewayClassName": "a", "listeners": []}),
        ("HTTPRoute", {"hostnames": ["api.example.com/v1"]}),
        ("GRPCRoute", {"rules": [{"matches": [{"method": {"type": "Prefix", "service": "a"}}]}]}),
        ("HTTPRoute", {"rules": [{"timeouts": {"request": "1 hour"}}]}),
        ("Kafka", {"kafka": {"listeners": [{"name": "plain", "port": 9092, "tls": False}]}}),
        ("KafkaNodePool", {"replicas": 3, "roles": ["leader"]}),
        ("KafkaTopic", {"partitions": 0}),
        ("KafkaUser", {"authentication": {"type": "password"}}),
        ("KafkaUser", {"authorization": {"type": "simple", "acls": [{"operation": "Read"}]}}),
        ("Cluster", {"instances": 0, "storage": {"size": "1Gi"}}),
        ("Cluster", {"storage": {"size": "1Gi"}, "postgresql": {"synchronous": {"number": 1}}}),
        ("Database", {"cluster": {"name": "a"}, "name": "a"}),
        ("ScheduledBackup", {"cluster": {"name": "a"}, "schedule": "* * *", "method": "dump"}),
        ("ObjectStore", {"configuration": {"s3Credentials": {"inheritFromIAMRole": True}}}),
        ("ObjectStore", {"configuration": {"destinationPath": "s3://a"}, "retentionPolicy": "1y"}),
        ("ScaledObject", {"scaleTargetRef": {}, "triggers": []}),
        ("ScaledObject", {"scaleTargetRef": {"name": "a"}, "triggers": [{"type": "cron"}]}),
        ("PrometheusRule", {"groups": [{"name": "a", "rules": [{"expr": "1", "for": "ten"}]}]}),
        ("PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"scheme": "ftp"}]}),
        ("ServiceMonitor", {"selector": {}, "endpoints": [{"scheme": "ftp"}]}),
    ],
)
def test_a_wrong_value_is_refused(kind: str, spec: dict[str, Any]) -> None:
    assert list(refusals(one(kind) | {"spec": spec}))


def test_a_kind_without_a_schema_is_an_error() -> None:
    with pytest.raises(ValueError, match="No schema of KafkaBridge"):
        list(refusals(one("Kafka") | {"kind": "KafkaBridge"}))


def test_schemas_are_closed_where_they_name_fields() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}
    assert closed(schema)["properties"]["a"]["additionalProperties"] is False
    assert closed({"type": "object"}) == {"type": "object"}
    assert GROUPS.keys() >= {"kafka.strimzi.io", "keda.sh"}


def validator(name: str, body: str) -> str:
    """Return a function as the packages have it, more or less."""
    return f"function {name}(data,{{instancePath=''}}={{}}){{{body}}}"


PROPERTY = (
    'void 0!==data.a&&(validate1(data.a,{instancePath:instancePath+"/a",'
    'parentData:data,parentDataProperty:"a",rootData}))'
)
TYPED = 'let err0={instancePath,schemaPath:"#/type",keyword:"type",params:{type:"%s"}};'


def test_schemas_are_read_from_validators() -> None:
    limit = 'let err1={instancePath,keyword:"maximum",params:{comparison:"<=",limit:9}};'
    thing = "export const validate=validate0;" + validator("validate0", TYPED % "object" + PROPERTY)
    inner = validator("validate1", TYPED % "integer" + limit)
    assert Reader({"GoThing": thing + inner}, "Go").read("GoThing") == {
        "type": "object",
        "properties": {"a": {"type": "integer", "maximum": 9}},
    }


def test_a_property_that_is_read_otherwise_is_an_error() -> None:
    changed = PROPERTY.replace("validate1(data.a", "validate1(value")
    thing = "export const validate=validate0;" + validator("validate0", changed)
    with pytest.raises(ValueError, match="in another way"):
        Reader({"GoThing": thing}, "Go").read("GoThing")


def test_built_schemas_are_those_of_the_packages_that_are_pinned() -> None:
    for package in PACKAGES:
        assert f"from {package.name} (MIT" in GROUPS[package.group]["$comment"]
        assert set(package.kinds) <= GROUPS[package.group]["$defs"].keys()
        assert re.fullmatch(r"@kubernetes-models/[a-z-]+@\d+\.\d+\.\d+", package.name)
