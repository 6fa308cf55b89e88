"""CustomResourceDefinitions of the schemas in `tests/deploy/schemas`. Pure.

An API server wants structural schemas: no references, and one type in each place
(kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions). To these,
`rules.yaml` adds what operators check in CEL.
"""

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.custom_resources import GROUPS, Schema, resolved
from tests.deploy.manifests import Manifest

RULES = yaml.safe_load(Path(__file__).with_name("rules.yaml").read_text())
ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
INT_OR_STRING: Schema = {"x-kubernetes-int-or-string": True}
NUMBER_OR_STRING = {"integer", "number", "string"}
KEPT = {
    *("type", "format", "nullable", "enum", "pattern", "minimum", "maximum", "required"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
}


def definition(kind: str, group: str) -> Manifest:
    """Return the CustomResourceDefinition of a kind."""
    base = f"urn:{group}"
    found = structural(GROUPS[group]["$defs"][kind], base)
    version = found["properties"]["apiVersion"]["enum"][0].partition("/")[2]
    # A server checks these itself, by its own types.
    found["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    for place, rules in RULES.get(kind, {}).items():
        at(found, place)["x-kubernetes-validations"] = rules
    schema = {"openAPIV3Schema": found}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural(kind)}.{group}",
            # A server wants this of groups below k8s.io, which are the community's.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural(kind), "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


def plural(kind: str) -> str:
    """Return what a kind is called in paths."""
    return f"{kind.lower()}s"


def at(schema: Schema, place: str) -> Schema:
    """Return the schema of a field, by the names of the fields around it, with dots."""
    for name in place.split("."):
        schema = schema["items"] if name == "items" else schema["properties"][name]
    return schema


def structural(schema: Schema, base: str) -> Schema:
    """Return a schema of the document `base` without references, as an API server takes it."""
    schema, base = resolved(schema, base)
    types = _types(schema)
    if not types:
        return dict(ANYTHING)
    if len(types) > 1:
        return dict(INT_OR_STRING if types <= NUMBER_OR_STRING else ANYTHING)
    found = {key: value for key, value in schema.items() if key in KEPT} | {"type": types.pop()}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if isinstance(schema.get("type"), list):
        found["nullable"] = True
    if "items" in schema:
        found["items"] = structural(schema["items"], base)
    fields = schema.get("properties")
    if fields:
        found["properties"] = {name: structural(each, base) for name, each in fields.items()}
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        found["additionalProperties"] = structural(others, base)
    elif found["type"] == "object" and not fields:
        found |= ANYTHING
    return found


def _types(schema: Schema) -> set[str]:
    """Return the types that a value may have, but for null."""
    if "const" in schema or "enum" in schema:
        return {"string"}
    told: Any = schema.get("type", [])
    types = {told} if isinstance(told, str) else set(told)
    for each in schema.get("oneOf", []):
        types |= _types(each)
    return types - {"null"}
