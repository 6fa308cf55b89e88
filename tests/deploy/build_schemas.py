"""Builds schemas/*.json, of the custom resources that we write: `python build_schemas.py`.

By hand, when an operator is taken in a newer version: it needs npm, which tests must not. The
packages @kubernetes-models/* are generated from the operators' own Go types. They carry no schemas,
but validators in JavaScript that a program wrote: a function for each schema, in which every
keyword stands with its value. These are read here; what is written otherwise than expected is an
error. Rules that operators have in CEL, or check in a webhook, are in no type, and so not here.
"""

import base64
import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "https://kubernetes.io/api/_definitions.json"
_FUNCTION = re.compile(r"function (validate\d+)\(data,.*?(?=function validate\d|\Z)", re.DOTALL)
_IMPORT = re.compile(r'import\{validate as (validate\d+)\}from"([^"]+)"')
_KEYWORD = re.compile(r'keyword:"(\w+)",params:\{(?:comparison:"..",)?\w+:')
_PROPERTY = re.compile(
    r'(validate\d+)\(data[.[][^,]*,\{instancePath:instancePath\+"[^"]*",'
    r'parentData:data,parentDataProperty:"([^"]+)"'
)
_ITSELF = re.compile(r"(validate\d+)\(data,\{instancePath,")
_ITEMS = re.compile(r"(validate\d+)\(data\[i0\]")
_VALUES = re.compile(r"(validate\d+)\(data\[key0\]")

Schema = dict[str, Any]


@dataclass(frozen=True)
class Package:
    """A package of npm, what its types are called, and which of them are kinds of ours."""

    name: str
    integrity: str
    types: str
    group: str
    kinds: tuple[str, ...]


PACKAGES = (
    Package(
        "@kubernetes-models/cloudnative-pg@2.0.0",
        "uvCHXxeypP8XBSqOvEObGgVMBipe8t7WCFqcpcypvAiq+sOA12NBefI/zKhKeI9EPPCVgY73BpR57JaYU0PCYg==",
        "ComGithubCloudnativePgCloudnativePgApiV1",
        "postgresql.cnpg.io",
        ("Cluster", "Database", "ScheduledBackup"),
    ),
    Package(
        "@kubernetes-models/external-secrets@2.0.0",
        "IpwAaO1m67oVMvhvaVrdj18nNUG5aDXFL3S0RerILGenb0MvsjiSCnjAUW1P10gRz7rIEayhFRbtvlDSFBqeEA==",
        "ComGithubExternalSecretsExternalSecretsApisExternalsecretsV1",
        "external-secrets.io",
        ("ExternalSecret", "SecretStore"),
    ),
    Package(
        "@kubernetes-models/gateway-api@2.0.0",
        "e7SY7EkCGRHy5wHkaGhP32v7V1L+gBalfoqZDFDWn5k9Q7+IW6uz9jNWgOZ9R/Hv5NWyAFYaA01ET2qsysVt5A==",
        "IoK8sSigsGatewayApiApisV1",
        "gateway.networking.k8s.io",
        ("GRPCRoute", "Gateway", "HTTPRoute"),
    ),
    Package(
        "@kubernetes-models/keda@2.0.0",
        "iqDohrzL51UXD6zM+Rl4RDnZ9Q7jwgikXYrDCxL0sWA5ZTFa7nMfS4Exu2uK6ohA+OUNQMUIFWORAHNpz5qlFw==",
        "ComGithubKedacoreKedaV2ApisKedaV1alpha1",
        "keda.sh",
        ("ScaledObject",),
    ),
    Package(
        "@kubernetes-models/prometheus-operator@6.0.0",
        "ySNW4T6U6Vn86bmcJ/emmAYJ/UrzpNvzxWexWJSALwgiO4FqCgL6WoqFsOReSiMhw/LlF+MljQvoiwD3RnaGmg==",
        "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1",
        "monitoring.coreos.com",
        ("PodMonitor", "PrometheusRule", "ServiceMonitor"),
    ),
)


def fetch(package: Package, folder: Path) -> dict[str, str]:
    """Return the validators of a package by the names of their types.

    Raises:
        ValueError: the package is another than the one that was looked at.
    """
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package.name]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    digest = hashlib.sha512((folder / name).read_bytes()).digest()
    if base64.b64encode(digest).decode() != package.integrity:
        raise ValueError(f"{package.name} has another hash: {base64.b64encode(digest).decode()}")
    found = {}
    with tarfile.open(folder / name) as archive:
        for member in archive:
            if re.fullmatch(r"package/_schemas/\w+\.js", member.name):
                content = archive.extractfile(member)
                assert content is not None
                found[Path(member.name).stem] = content.read().decode()
    return found


class Reader:
    """Reads the schemas of one package's types, each with those that it names."""

    def __init__(self, validators: dict[str, str], types: str) -> None:
        self._validators = validators
        self._types = types
        self.found: dict[str, Schema] = {}

    def read(self, name: str) -> Schema:
        """Return the schema of a type, and keep it."""
        short = name.removeprefix(self._types)
        if short not in self.found:
            self.found[short] = {}  # It may name itself.
            text = self._validators[name]
            (start,) = re.findall(r"export const validate=(\w+)", text)
            self.found[short] |= self._function(text, start)
        return self.found[short]

    def _function(self, text: str, name: str) -> Schema:
        imported = dict(_IMPORT.findall(text))
        if name in imported:
            return {"$ref": self._reference(Path(imported[name]).name.removesuffix(".js"))}
        (body,) = [match[0] for match in _FUNCTION.finditer(text) if match[1] == name]
        schema = _keywords(body, text)
        properties = _PROPERTY.findall(body)
        if len(properties) != body.count('parentDataProperty:"'):
            raise ValueError(f"{name} reads a property in another way: {body}")
        if properties:
            schema["properties"] = {
                key: self._function(text, function)
                for function, key in properties
                if key != "status"
            }
        for keyword, pattern in (("items", _ITEMS), ("additionalProperties", _VALUES)):
            for function in pattern.findall(body):
                schema[keyword] = self._function(text, function)
        for function in _ITSELF.findall(body):
            _add(schema, self._function(text, function), self.found)
        return schema

    def _reference(self, name: str) -> str:
        if name in self._validators:
            self.read(name)
            return f"#/$defs/{name.removeprefix(self._types)}"
        return f"{KUBERNETES}#/$defs/{kubernetes_types()[name]}"


@cache
def kubernetes_types() -> dict[str, str]:
    """Return Kubernetes' own types by the names that the packages have for them."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / "v1.37.0-local-strict"
    names = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return {"".join(part[0].upper() + part[1:] for part in name.split(".")): name for name in names}


def _keywords(body: str, text: str) -> Schema:
    schema: Schema = {}
    decoder = json.JSONDecoder()
    for match in _KEYWORD.finditer(body):
        if match[1] == "enum":
            variable = body[match.end() :].partition("}")[0]
            start = text.index(f"{variable}=[") + len(variable) + 1
            schema["enum"] = decoder.raw_decode(text, start)[0]
        elif match[1] == "required":
            schema.setdefault("required", []).append(decoder.raw_decode(body, match.end())[0])
        elif match[1] != "format":
            schema[match[1]] = decoder.raw_decode(body, match.end())[0]
    # Go takes flags in the midst of a pattern, Python does not.
    if "(?i)" in schema.get("pattern", ""):
        schema["pattern"] = "(?i)" + schema["pattern"].replace("(?i)", "")
    return schema


def _add(schema: Schema, other: Schema, found: dict[str, Schema]) -> None:
    """Add what holds beside: a reference, or the fields of a type that is embedded."""
    embedded = found.get(other.get("$ref", "").removeprefix("#/$defs/"), {})
    if schema.get("type") == "object" and "properties" in embedded:
        schema["properties"] = embedded["properties"] | schema.get("properties", {})
        schema["required"] = [*embedded.get("required", []), *schema.get("required", [])]
    else:
        schema |= other


def main() -> None:
    """Write a file for each group of kinds."""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(fetch(package, Path(folder)), package.types)
        for kind in package.kinds:
            reader.read(package.types + kind)
        comment = (
            f"By build_schemas.py from {package.name} (MIT, Copyright (c) 2018 Tommy Chen), "
            "which has it from the operator's types (Apache-2.0)."
        )
        lines = [
            f"{json.dumps(name)}: {json.dumps(reader.found[name])}" for name in sorted(reader.found)
        ]
        text = f'{{"$comment": {json.dumps(comment)}, "$defs": {{\n' + ",\n".join(lines) + "\n}}\n"
        (SCHEMAS / f"{package.group}.json").write_text(text)


if __name__ == "__main__":
    main()
