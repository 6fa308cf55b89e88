"""Where the running product uses each package that the mission names."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster_postgres import DagsterPostgresStorage

from tests.structure.test_rooms import MODULES
from visionops_assets.stack.dagster_storage import PooledStorage

ROOT = Path(__file__).parents[2]
RUNS = "definitions"
"""What Dagster's code server and every run of it begin with."""
CODE_SERVER = "stack.code_server"
USES = {
    # package: (what is imported, by which module of ours, reached from where)
    "dagster": ("dagster", "definitions", RUNS),
    "dagster-aws": ("dagster_aws.s3", "resources.tables", RUNS),
    "dagster-k8s": ("dagster_k8s", "definitions", RUNS),
    "dagster-mlflow": ("dagster_mlflow", "resources.training_run", RUNS),
    "dagster-postgres": ("dagster_postgres", "stack.dagster_storage", "stack.attaching"),
    "kafka-python": ("kafka", "resources.broker", RUNS),
    "opencv-python-headless": ("cv2", "vision.preprocessing", RUNS),
    "torch": ("torch", "vision.training", RUNS),
    "tritonclient": ("tritonclient.grpc", "resources.triton", RUNS),
    "prometheus-client": (
        "prometheus_client",
        "services.http.request_metrics",
        "services.gateway.app",
    ),
    "pandas": ("pandas", "resources.tables", RUNS),
    "boto3": ("boto3", "stack.warm_clients", CODE_SERVER),
    "mlflow": ("mlflow", "resources.tracking", RUNS),
    "fastapi": ("fastapi", "services.gateway.app", "services.gateway.__main__"),
}


def imports(module: str) -> Iterator[str]:
    """Yield the dotted path of all that a module imports, also within functions."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_of_ours(module: str) -> Iterator[str]:
    """Yield the modules of ours that one imports, or names in a string to be imported by others."""
    strings = [
        node.value
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for name in [*imports(module), *strings]:
        path = name.removeprefix("visionops_assets.")
        if name != path:
            yield from (each for each in (path, f"{path}.__init__") if each in MODULES)


def reached_from(entry: str) -> set[str]:
    """Return every module of ours that is loaded, or may be, once `entry` is."""
    reached: set[str] = set()
    waiting = {entry}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        # To import a module imports the packages it lies in.
        parts = module.split(".")
        packages = {".".join([*parts[:n], "__init__"]) for n in range(1, len(parts))}
        waiting |= ({*names_of_ours(module)} | (packages & MODULES.keys())) - reached
    return reached


@pytest.mark.parametrize("package", USES)
def test_the_product_uses_the_package(package: str) -> None:
    imported, module, entry = USES[package]
    assert any(f"{name}.".startswith(f"{imported}.") for name in imports(module))
    assert module in reached_from(entry)


def test_each_is_installed_with_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.partition(">")[0].partition("=")[0] for line in project["dependencies"]}
    assert {name.partition("[")[0] for name in names} >= USES.keys()


@pytest.mark.parametrize(
    "place", ["deploy/dagster.yaml", "deploy/kubernetes/base/dagster/dagster.yaml"]
)
def test_dagster_keeps_its_storage_and_logs_by_its_own_packages(place: str) -> None:
    """Ours differs from that of dagster-postgres in its connections alone."""
    instance = yaml.safe_load((ROOT / place).read_text())
    assert instance["storage"]["custom"]["class"] == PooledStorage.__name__
    assert issubclass(PooledStorage, DagsterPostgresStorage)
    assert instance["compute_logs"]["module"] == "dagster_aws.s3.compute_log_manager"


def test_dagster_dev_works_by_the_rules_of_the_stack() -> None:
    """They say otherwise of storage and logs alone."""
    alone = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    stack = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    differing = {key for key in alone.keys() | stack.keys() if alone.get(key) != stack.get(key)}
    assert differing == {"storage", "compute_logs"}
