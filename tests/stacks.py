"""One real stack for all tests that need servers, in a state folder of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.declared import declare
from tests.free_ports import free_ports
from tests.queues.second_broker import second_broker
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.keys import bearer_header, create
from visionops_assets.contracts import Scope
from visionops_assets.demo.clients import PublicApi
from visionops_assets.settings import STACK_ENV_FILE, Settings, load_settings
from visionops_assets.stack.environment import write_env_file
from visionops_assets.stack.ports import DEFAULT_PORTS

UP_TIMEOUT_S = 240
# Small enough for a quick loop: the rules are the same.
SMALL = {
    "BATCH_MAX_WAIT_S": "2",
    "MONITORING_INTERVAL_S": "1",
    # Each is a process, started for each release.
    "SERVING_INSTANCES": "1",
}
QUIET_MODEL: dict[str, Any] = {
    "monitoring": {"audit_percent": 100},
    "labelling": {"batch_size": 20},
    "retraining": {"min_new_labels": 3},
}
SMALL_MODEL: dict[str, Any] = {
    # The applications of tests label each answer.
    "monitoring": {"audit_percent": 100},
    "frames": {"size_px": 32},
    # No snapshot but those that tests ask for by their labels.
    "snapshots": {"min_holdout_per_class": 1, "min_new_labels": 290, "pause_s": 86_400},
    # Half of what is chosen for so few frames: labels that contradict each other use all of them.
    "training": {"steps": 900},
    "serving": {"rollouts": {"min_requests": 50}},
    "retraining": {"canary_percent": 50},
}

SERVERS = {"integration", "attacks", "chaos"}
"""The folders of tests that need servers, as in the Makefile."""
LONG_GROUPS = ("test_chaos", "test_readme", "quiet_stack", "ingest", "stack")


@pytest.hookimpl(tryfirst=True)  # Before xdist reads the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "attacks" in item.path.parts:
            item.add_marker(pytest.mark.attack)
        if {"integration", "attacks"} & set(item.path.parts):
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.xdist_group(group_of(item)))
        if item.get_closest_marker("integration") and not SERVERS & set(item.path.parts):
            raise pytest.UsageError(f"{item.nodeid}: `make test` looks in {SERVERS} for these")
    items.sort(key=order_of)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop if xdist sees no groups: without a word, each worker would start every stack."""
    if getattr(session.config.option, "loadgroup", False):
        grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
        alone = [item.nodeid for item in grouped if "@" not in item.nodeid]
        assert not alone, f"xdist puts {alone[0]} into no group: does it fit this pytest?"


def order_of(item: pytest.Item) -> tuple[int, bool]:
    """Put long groups first, so that no worker is left alone with one; short ones fill the rest.

    A stack that several files share lives until its worker ends, and would slow others down: it
    comes as late as that allows. The loop is looked at from its beginning.
    """
    group = group_of(item)
    place = LONG_GROUPS.index(group) if group in LONG_GROUPS else len(LONG_GROUPS)
    return place, "loop" not in fixtures_of(item)


def group_of(item: pytest.Item) -> str:
    """Name the tests that run one after the other: they share a stack, a folder's or a file's.

    Two groups run at once: most of the time a test waits for servers.
    """
    for shared in ("stack", "quiet_stack"):
        if shared in fixtures_of(item):
            return shared
    folder = item.path.parent.name
    return folder if folder == "ingest" else item.path.stem


def fixtures_of(item: pytest.Item) -> list[str]:
    """Names of the fixtures that a test uses, also by way of others."""
    return item.fixturenames if isinstance(item, pytest.Function) else []


def visionops(*words: str, timeout_s: float = UP_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run a `visionops` command as a user would."""
    command = [sys.executable, "-m", "visionops_assets", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def keep_off_default_ports(home: Path) -> None:
    """Let no stack beside this one take a port whose server has just been stopped or killed."""
    if (home / STACK_ENV_FILE).exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    ports = free_ports(len(DEFAULT_PORTS))
    names = (f"VISIONOPS_STACK_PORT_{name.upper()}" for name in DEFAULT_PORTS)
    write_env_file(home / STACK_ENV_FILE, dict(zip(names, map(str, ports), strict=True)))


@contextmanager
def running_stack(
    home: Path,
    environment: dict[str, str],
    *options: str,
    model: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Settings]:
    """Run `visionops up` for the length of the block.

    It has these `VISIONOPS_` variables alone, and `classifier` declared with the sections of
    `model`.
    """
    with second_broker(home) as queue, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
            patch.delenv(name)
        for name, value in (queue | environment).items():
            patch.setenv(f"VISIONOPS_{name}", value)
        patch.setenv("VISIONOPS_HOME", str(home))
        patch.setenv("VISIONOPS_MODELS", str(declare(home / "declared", **model)))
        keep_off_default_ports(home)
        up = visionops("up", *options)
        try:
            assert up.returncode == 0, up.stdout + up.stderr
            load_settings.cache_clear()
            yield load_settings()
        finally:
            visionops("down")
    load_settings.cache_clear()


def key_for(*scopes: Scope) -> SecretStr:
    """Make an API key of its own in the catalog of the running stack."""
    with Catalog().begin() as session:
        _, key = create(session, f"test-{uuid4().hex[:8]}", scopes)
    return key


def key_header(*scopes: Scope) -> dict[str, str]:
    """Make a key and return the header that shows it."""
    return bearer_header(key_for(*scopes))


@pytest.fixture(scope="session")
def quiet_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack without Dagster, so that nothing is decided but what a test decides."""
    home = tmp_path_factory.mktemp("quiet")
    with running_stack(
        home, {"SERVING_INSTANCES": "1"}, "--only", "tansu,triton,gateway", model=QUIET_MODEL
    ) as settings:
        yield settings


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a running stack."""
    with running_stack(tmp_path_factory.mktemp("home"), SMALL, model=SMALL_MODEL) as settings:
        yield settings


@pytest.fixture(scope="session")
def api(stack: Settings) -> Iterator[PublicApi]:
    """The services and Dagster, over HTTP."""
    key = key_for(Scope.INGEST, Scope.PREDICT, Scope.LABEL)
    with closing(PublicApi(stack.ingest_url, stack.gateway_url, stack.dagster_url, key)) as api:
        yield api
