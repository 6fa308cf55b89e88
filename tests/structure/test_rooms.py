"""Who may import whom, and what may not be anywhere: the design's rules, held against the code."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from visionops_assets.roster import ours

PACKAGE = Path(__file__).parents[2] / "visionops_assets"
CLIENT = "visionops_client"
"""The package of its own that applications install; below every room."""
CLIENT_PACKAGE = PACKAGE.parent / "client" / CLIENT
BASE = {"contracts", "errors", "redaction"}
MAY_IMPORT = {
    "contracts": {"errors"},
    "errors": {CLIENT},
    "redaction": set(),
    "findings": set(),
    "foreign_text": set(),
    "roster": set(),
    "settings": BASE | {"roster"},
    "crash_points": BASE | {"settings"},
    "vision": BASE | {"vision"},
    "tasks": BASE | {"vision", "tasks"},
    "formats": BASE | {"tasks", "formats"},
    "models": BASE | {"vision", "tasks", "settings", "models"},
    "catalog": BASE | {"vision", "settings", "models", "catalog"},
    "resources": BASE | {"vision", "tasks", "settings", "resources"},
    "releasing": BASE
    | {"vision", "tasks", "models", "settings", "crash_points", "catalog", "resources"}
    | {"releasing"},
    "monitoring": BASE
    | {"roster", "vision", "tasks", "models", "settings", "catalog", "resources", "monitoring"},
    "lineage": BASE
    | {"crash_points", "vision", "tasks", "settings", "catalog", "resources", "lineage"},
    "stages": BASE
    | {
        "vision",
        "tasks",
        "models",
        "settings",
        "crash_points",
        "catalog",
        "resources",
        "releasing",
        "monitoring",
        "lineage",
    }
    | {"stages"},
    "services": BASE
    | {"vision", "tasks", "models", "settings", "crash_points", "catalog", "resources"}
    | {"releasing", "lineage", CLIENT, "client", "services"},
    "client": BASE | {CLIENT, "foreign_text", "settings", "client"},
    "stack": BASE | {"findings", "roster", "settings", "models", "catalog", "resources", "stack"},
    "backup": BASE | {"settings", "resources", "backup"},
    "capacity": BASE | {"capacity"},
    "cluster": BASE | {"findings", "roster", "cluster"},
    "demo": BASE
    | {"vision", "settings", "models", "catalog", "resources", "client", "demo"}
    | {CLIENT},
}
SEES_EVERYTHING = {"component", "cli", "definitions", "__main__", "__init__"}
STAGES = {path.parent.name for path in (PACKAGE / "stages").glob("*/__init__.py")}
SERVICES = {service.module.rpartition(".")[2] for service in ours.SERVICES}
READS_PUBLISHED_WEIGHTS = "vision.pretrained"
"""The one file that it reads has a hash in it, and may hold tensors alone."""
MAX_LINES = 300


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield each module's dotted path below the package, with its syntax tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts), ast.parse(path.read_text())


MODULES = dict(modules())


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted path of everything of ours that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "Imports are absolute."
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        prefix = "visionops_assets."
        yield from (
            name.removeprefix(prefix) for name in names if name.startswith((prefix, f"{CLIENT}."))
        )


@pytest.mark.parametrize("module", MODULES)
def test_room_imports_only_what_it_may(module: str) -> None:
    room = module.partition(".")[0]
    if room in SEES_EVERYTHING:
        return
    allowed = MAY_IMPORT[room]
    imported = {name.partition(".")[0] for name in imported_names(MODULES[module])}
    assert imported <= allowed | {room}


@pytest.mark.parametrize(
    ("room", "siblings"), [("stages", STAGES), ("services", SERVICES)], ids=["stages", "services"]
)
def test_siblings_do_not_import_each_other(room: str, siblings: set[str]) -> None:
    for module, tree in MODULES.items():
        own_room, _, rest = module.partition(".")
        own = rest.partition(".")[0]
        if own_room != room or own not in siblings:
            continue
        imported = {
            name.split(".")[1] for name in imported_names(tree) if name.startswith(f"{room}.")
        }
        assert not imported & (siblings - {own}), module


def test_stages_are_those_of_the_table_of_contents() -> None:
    definitions = ast.unparse(MODULES["definitions"]) + ast.unparse(MODULES["stages.model_stages"])
    for stage in STAGES:
        assert stage in definitions
    assert len(STAGES) == 8


def test_applications_install_little() -> None:
    declared = tomllib.loads((CLIENT_PACKAGE.parent / "pyproject.toml").read_text())["project"]
    needed = {name.partition(">")[0] for name in declared["dependencies"]}
    for path in CLIENT_PACKAGE.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names = [
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        ]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        imported = {name.partition(".")[0] for name in names}
        assert imported <= needed | {CLIENT} | sys.stdlib_module_names, path
    assert needed == {"httpx", "pydantic", "websockets"}


@pytest.mark.parametrize("module", MODULES)
def test_only_settings_reads_the_environment(module: str) -> None:
    source = ast.unparse(MODULES[module])
    reads = [word for word in ("os.environ", "getenv", "environb") if word in source]
    assert not reads or module == "settings.loading"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_pickled(module: str) -> None:
    imports = {
        alias.name.partition(".")[0]
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not imports & {"pickle", "cloudpickle", "joblib", "shelve"}
    loads = [call for call in calls(MODULES[module]) if call.startswith("torch.load(")]
    if module == READS_PUBLISHED_WEIGHTS:
        assert ["weights_only=True" in call for call in loads] == [True]
    else:
        assert not loads


def calls(tree: ast.Module) -> Iterator[str]:
    """Yield the source of each call."""
    return (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("stages.")])
def test_dagster_sees_real_annotations(module: str) -> None:
    """Postponed annotations break Dagster's config and context parameters."""
    assert "from __future__ import annotations" not in ast.unparse(MODULES[module])


def test_modules_are_short_and_say_what_they_hold() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= MAX_LINES, path
        assert path.stem not in {"core", "utils", "util", "helpers", "common", "misc"}, path
    for module, tree in MODULES.items():
        assert ast.get_docstring(tree), module
