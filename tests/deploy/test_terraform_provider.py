"""The module of deploy/terraform names what Terraform's provider for AWS knows.

That is what `terraform validate` would say first, which needs the provider itself. Types and values
are not compared.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform import TERRAFORM, Block, address, blocks, code, everything, only

PROVIDER: dict[str, Any] = json.loads((Path(__file__).parent / "terraform_aws.json").read_text())
META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
# What the parser adds to each block.
PARSER = {"__tfmeta", "id"}
_REFERENCE = re.compile(r"\b((?:data\.)?aws_\w+)\.\w+(?:\[[^\]]*\])?\.(\w+)")
_LOOP = re.compile(r"for (?:\w+, )?(\w+) in (aws_\w+)\.\w+ : (.*?)(?:\n\n|\Z)", re.DOTALL)


def mistakes(block: Block, schema: dict[str, Any]) -> Iterator[str]:
    """Say what a block has and should not, or should have and has not."""
    given = block.keys() - PARSER
    for name in sorted(given - schema["arguments"].keys()):
        yield f"no argument {name}"
    for name in sorted(set(schema["required"]) - given):
        yield f"{name} is missing"
    for name, nested in schema["arguments"].items():
        if nested and name in given:
            for each in blocks(block[name]):
                yield from (f"{name}: {mistake}" for mistake in mistakes(each, nested))


def schema_of(block: Block) -> dict[str, Any]:
    """Return the schema of a resource or of data, with what any may have."""
    kind = block["__tfmeta"]["type"]
    label = block["__tfmeta"]["label"]
    found: dict[str, Any] = PROVIDER[f"data.{label}" if kind == "data" else label]
    return {**found, "arguments": found["arguments"] | dict.fromkeys(META)}


def told(text: str) -> set[tuple[str, str]]:
    """Return the attributes that a text reads of resources, by their types."""
    found = set(_REFERENCE.findall(text))
    for name, kind, rest in _LOOP.findall(text):
        found |= {(kind, attribute) for attribute in re.findall(rf"\b{name}\.(\w+)", rest)}
    return found


def test_the_provider_knows_every_argument() -> None:
    made = [each for kind, each in everything().items() if kind.startswith("aws_")]
    assert len(made) == len(PROVIDER) - 1, "build_terraform_schema.py: the comment, and a type each"
    for block in (block for of_kind in made for block in of_kind):
        assert (address(block), list(mistakes(block, schema_of(block)))) == (address(block), [])


def test_the_provider_tells_every_attribute_that_is_read() -> None:
    read = told("".join(code(path) for path in sorted(TERRAFORM.glob("*.tf"))))
    assert {("aws_db_instance", "port"), ("aws_iam_role", "arn")} <= read
    assert [
        (kind, name)
        for kind, name in sorted(read)
        if name not in PROVIDER[kind]["tells"] and name not in PROVIDER[kind]["arguments"]
    ] == []


def test_the_schema_is_of_a_version_that_may_be_taken() -> None:
    (pinned,) = re.findall(r'version = "~> (\d+)\.(\d+)"', code(TERRAFORM / "versions.tf"))
    (built,) = re.findall(r"provider aws (\d+)\.(\d+)", PROVIDER["$comment"])
    assert (built[0], int(built[1]) >= int(pinned[1])) == (pinned[0], True)


@pytest.mark.parametrize(
    ("kind", "change", "mistake"),
    [
        ("aws_db_instance", {"multi_zone": True}, "no argument multi_zone"),
        ("aws_s3_bucket_versioning", {"bucket": None}, "bucket is missing"),
        (
            "aws_s3_bucket_versioning",
            {"versioning_configuration": {"stat": "Enabled"}},
            "versioning_configuration: no argument stat",
        ),
    ],
)
def test_a_mistake_is_found(kind: str, change: Block, mistake: str) -> None:
    block = {name: value for name, value in (only(kind) | change).items() if value is not None}
    assert mistake in list(mistakes(block, schema_of(block)))


def test_an_attribute_in_a_loop_is_found() -> None:
    text = "x = {\n  for name, role in aws_iam_role.program : name => {\n    x = role.arm\n  }\n}"
    assert told(text) == {("aws_iam_role", "arm")}
    assert told("x = aws_s3_bucket.this[0].arm") == {("aws_s3_bucket", "arm")}
