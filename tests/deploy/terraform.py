"""The Terraform module, as tests read it: evaluated, and as text."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.manifests import KUBERNETES, Manifest
from tests.deploy.monitoring import DEPLOY

TERRAFORM = DEPLOY / "terraform"
EVERYTHING = """
oidc_provider_arn         = "arn:aws:iam::111111111111:oidc-provider/oidc.example/id/A1"
kms_key_arn               = "arn:aws:kms:eu-central-1:111111111111:key/k1"
access_log_bucket         = "logs"
media_cold_after_days     = 60
create_database           = true
create_queue              = true
vpc_id                    = "vpc-1"
private_subnet_ids        = ["subnet-1", "subnet-2", "subnet-3"]
cluster_security_group_id = "sg-1"
"""
LEAST = EVERYTHING.splitlines()[1]
BUCKET_ARN = "arn:aws:s3:::visionops-production"
# In a process of its own: the parser brings Go's runtime, which hangs after a fork and takes
# gigabytes of the address space that other tests limit.
_EVALUATE = """
import json, sys, tfparse
found = tfparse.load_from_path(sys.argv[1], stop_on_hcl_error=True, vars_paths=["test.tfvars"])
json.dump(found, sys.stdout)
"""
_ATTRIBUTE = re.compile(r'( *)("?[\w./-]+"?)( *)= (.*)')
_REFERENCE = re.compile(r"(?<![\w.$-])(data\.)?(var|local|aws_\w+)\.(\w+)")

Block = dict[str, Any]
"""One block with its attributes; a nested block is one, or a list of several."""


def evaluated(folder: Path, variables: str, source: Path = TERRAFORM) -> dict[str, list[Block]]:
    """Return the blocks of a copy of the module by their type, counted and computed."""
    for path in source.glob("*.tf"):
        shutil.copy(path, folder)
    (folder / "test.tfvars").write_text(variables)
    done = subprocess.run(
        [sys.executable, "-c", _EVALUATE, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Block]] = json.loads(done.stdout)
    return found


@cache
def everything() -> dict[str, list[Block]]:
    """Return the module with all that can be asked for."""
    with tempfile.TemporaryDirectory() as folder:
        return evaluated(Path(folder), EVERYTHING)


def only(kind: str) -> Block:
    """Return the one block of a type."""
    (block,) = everything()[kind]
    return block


def blocks(value: Block | list[Block] | None) -> list[Block]:
    """Return nested blocks as a list."""
    return value if isinstance(value, list) else [value] if value else []


def address(block: Block) -> str:
    """Return what a block is called in the module, as `aws_iam_role.program["triton"]`."""
    path: str = block["__tfmeta"]["path"]
    return path


def statements(document: str) -> list[Block]:
    """Return the statements of the policies of a name; `of` is the service account, if any."""
    found = []
    for policy in everything()["aws_iam_policy_document"]:
        name, _, key = address(policy).removeprefix("data.aws_iam_policy_document.").partition("[")
        if name == document:
            found += [{**each, "of": key.strip('"]')} for each in blocks(policy["statement"])]
    assert found
    return found


def roles() -> dict[str, str]:
    """Return the name of the role of each service account."""
    of_role = re.compile(r'aws_iam_role\.program\["(.+)"\]')
    made = everything()["aws_iam_role"]
    return {of_role.sub(r"\1", address(each)): each["name"] for each in made}


def manifests(path: str) -> list[Manifest]:
    """Return the objects of a file of deploy/kubernetes."""
    return [each for each in yaml.safe_load_all((KUBERNETES / path).read_text()) if each]


def code(path: Path) -> str:
    """Return a file without its comments."""
    return re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)


def declared(text: str) -> set[str]:
    """Name what a text declares, as expressions name it."""
    names = {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}
    for kind, type_, name in re.findall(
        r'^(resource|data) "(\w+)" "(\w+)"', text, flags=re.MULTILINE
    ):
        names.add(f"{'data.' if kind == 'data' else ''}{type_}.{name}")
    for body in re.findall(r"^locals \{\n(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL):
        names |= {f"local.{name}" for name in re.findall(r"^  (\w+) +=", body, re.MULTILINE)}
    return names


def referred(text: str) -> set[str]:
    """Name what the expressions of a text refer to."""
    return {f"{data}{kind}.{name}" for data, kind, name in _REFERENCE.findall(text)}


def untidy(text: str) -> list[str]:
    """Return the lines that `terraform fmt` would indent or align otherwise.

    Far from all of its rules: two spaces a level, and `=` under `=` in neighbouring lines.
    """
    found, depth, group = [], 0, list[tuple[str, int, int]]()
    for line in [*_without_heredocs(text), ""]:
        opens, closes = _brackets(line)
        leading = len(re.match(r" *[\]})]*", line)[0].strip())  # type: ignore[index]
        if line.strip() and len(line) - len(line.lstrip()) != 2 * (depth - min(leading, 1)):
            found.append(line)
        if line != line.rstrip() or "\t" in line:
            found.append(line)
        match = _ATTRIBUTE.fullmatch(line)
        if match and opens == closes:
            group.append((line, len(match[1] + match[2]), len(match[3])))
        else:
            found += _misaligned(group)
            group = []
        # Several brackets that open in one line are one level.
        depth += (opens > closes) - (closes > opens)
    return found


def _misaligned(group: list[tuple[str, int, int]]) -> list[str]:
    width = max((name for _, name, _ in group), default=0)
    return [line for line, name, spaces in group if name + spaces != width + 1]


def _brackets(line: str) -> tuple[int, int]:
    bare = re.sub(r'"(?:\\.|[^"\\])*"', "", line.partition("# ")[0])
    return len(re.findall(r"[\[{(]", bare)), len(re.findall(r"[\]})]", bare))


def _without_heredocs(text: str) -> Iterator[str]:
    end = None
    for line in text.splitlines():
        if end is None:
            yield line
            start = re.search(r"<<-?(\w+)$", line)
            end = start and start[1]
        elif line.strip() == end:
            end = None
