"""Definitions are what an API server takes, and each of our rules is tried."""

from typing import Any

import pytest

from tests.api_server.definitions import RULES, at, definition, structural
from tests.api_server.spoiling import BY_RULE, REMOVED, UNKNOWN, breaches, changed

GROUP = "gateway.networking.k8s.io"


def test_a_definition_names_kind_group_and_version() -> None:
    found = definition("HTTPRoute", GROUP)
    assert found["metadata"]["name"] == f"httproutes.{GROUP}"
    (version,) = found["spec"]["versions"]
    assert version["name"] == "v1"
    schema = version["schema"]["openAPIV3Schema"]
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert schema["properties"]["spec"]["type"] == "object"
    timeouts = at(schema, "spec.rules.items.timeouts")
    assert timeouts["x-kubernetes-validations"] == RULES["HTTPRoute"]["spec.rules.items.timeouts"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"x-kubernetes-preserve-unknown-fields": True}),
        ({"type": "object"}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        ({"const": "v1"}, {"type": "string", "enum": ["v1"]}),
        ({"type": ["integer", "null"]}, {"type": "integer", "nullable": True}),
        (
            {"oneOf": [{"type": ["string", "null"]}, {"type": ["number", "null"]}]},
            {"x-kubernetes-int-or-string": True},
        ),
        (
            {"type": ["string", "integer", "number", "boolean"]},
            {"x-kubernetes-preserve-unknown-fields": True},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
            {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
        ),
    ],
)
def test_a_schema_becomes_structural(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert structural(schema | {"description": "x"}, f"urn:{GROUP}") == expected


def test_references_are_replaced_by_what_they_refer_to() -> None:
    referring = {"type": "array", "items": {"$ref": "#/$defs/SectionName"}}
    assert structural(referring, f"urn:{GROUP}")["items"]["maxLength"] == 253
    time = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.Time"
    assert structural({"$ref": time}, f"urn:{GROUP}")["format"] == "date-time"


def test_each_rule_has_a_breach() -> None:
    messages = [
        (kind, rule["message"])
        for kind, places in RULES.items()
        for rules in places.values()
        for rule in rules
    ]
    met = [[m for k, m in messages if k == each.kind and each.refusal in m] for each in BY_RULE]
    assert sorted(met) == sorted([message] for _, message in messages)


def test_the_first_of_a_kind_is_spoiled_and_not_changed() -> None:
    route = {"kind": "Database", "spec": {"name": "a"}}
    found = list(breaches([route, route]))
    assert [refusal for _, refusal in found] == [
        UNKNOWN,
        "name does not change",
        "name is reserved",
    ]
    assert found[0][0] == {"kind": "Database", "spec": {"name": "a", "mistyped": "x"}}
    assert route == {"kind": "Database", "spec": {"name": "a"}}


def test_a_value_in_a_list_is_removed() -> None:
    assert changed({"a": [{"b": 1, "c": 2}]}, "a.0.b", REMOVED) == {"a": [{"c": 2}]}
