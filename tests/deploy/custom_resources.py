"""Schemas of the custom resources that the overlays have.

`schemas/` has a file for each group of kinds: JSON that `build_schemas.py` made from the operators'
own types, YAML where we wrote it ourselves. Kubernetes' types in them are kubernetes-validate's.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

from tests.deploy.manifests import Manifest

SCHEMAS = Path(__file__).parent / "schemas"
GROUPS = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")} | {
    path.stem: yaml.safe_load(path.read_text()) for path in SCHEMAS.glob("*.yaml")
}
_KUBERNETES = "kubernetes-json-schema/v1.37.0-local-strict/_definitions.json"

Schema = dict[str, Any]


def is_custom(manifest: Manifest) -> bool:
    """Tell whether an object is of a group that has schemas here, and not of Kubernetes' own."""
    return group(manifest) in GROUPS


def group(manifest: Manifest) -> str:
    """Return the group of an object's kind."""
    name: str = manifest["apiVersion"].partition("/")[0]
    return name


def closed(schema: Any) -> Any:
    """Return a schema that takes no field but those that it names, wherever it names any.

    An API server drops what it does not know, so that a mistyped field is as good as none.
    """
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    # Elsewhere "properties" is a field that is called so.
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


@cache
def _kubernetes() -> Schema:
    found: Schema = json.loads((files("kubernetes_validate") / _KUBERNETES).read_text())
    return found


def resolved(schema: Schema, base: str) -> tuple[Schema, str]:
    """Return the schema that one of the document `base` refers to, or itself, and its document."""
    while "$ref" in schema:
        name, _, path = schema["$ref"].partition("#/$defs/")
        base = name or base
        group = base.removeprefix("urn:")
        schema = (GROUPS[group] if group in GROUPS else _kubernetes())["$defs"][path]
    return schema, base


@cache
def _registry() -> Registry[Schema]:
    kubernetes = _kubernetes()
    resources = [(kubernetes["$id"], Resource.from_contents(kubernetes))]
    for name, schema in GROUPS.items():
        contents = {"$schema": Draft202012Validator.META_SCHEMA["$id"], **closed(schema)}
        resources.append((f"urn:{name}", Resource.from_contents(contents)))
    return Registry[Schema]().with_resources(resources)


def refusals(manifest: Manifest) -> Iterator[str]:
    """Say what an operator's schema has against an object.

    Raises:
        ValueError: there is no schema of its kind.
    """
    kind = manifest["kind"]
    if kind not in GROUPS[group(manifest)]["$defs"]:
        raise ValueError(f"No schema of {kind} in tests/deploy/schemas: see build_schemas.py.")
    schema = {"$ref": f"urn:{group(manifest)}#/$defs/{kind}"}
    for error in Draft202012Validator(schema, registry=_registry()).iter_errors(manifest):
        yield f"{kind} {manifest['metadata']['name']}: {error.json_path}: {error.message}"
