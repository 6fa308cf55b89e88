"""Dagster's own commands in a checkout: with nothing running, and beside a running stack."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.free_ports import free_ports
from tests.integration.dagster_graphql import START_TIMEOUT_S, loaded, run_health_check, ticks
from tests.waiting import eventually
from visionops_assets.resources.sentences import ADVICE
from visionops_assets.settings import Settings
from visionops_assets.stack.paths import Paths

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CHECKED_OUT = ("dagster.yaml", "workspace.yaml", "pyproject.toml", "visionops_assets", ".venv")
SENSOR_INTERVAL_S = 5
"""Of `classifier__new_labels`."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without state: links to what Dagster reads of this one."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in CHECKED_OUT:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a new login, without a variable of ours but those given."""
    return {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(home), "VIRTUAL_ENV": sys.prefix} | more


@contextmanager
def serving(command: list[str], checkout: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Run `dagster dev` or `dg dev` for the length of the block, and yield its address."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    log = checkout.parent / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "-p", str(port)],
            cwd=checkout,
            env=dict(env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(url, lambda: process.poll() is not None or answers(url), START_TIMEOUT_S)
        assert process.poll() is None, log.read_text()
        yield url
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    "command",
    [
        ("dagster", "definitions", "validate"),
        ("dg", "check", "defs", "--use-active-venv"),
        ("python", "-m", "visionops_assets.definitions"),
    ],
    ids=" ".join,
)
def test_definitions_load_without_any_variable(checkout: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=checkout,
        env=environment(checkout.parent),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_dagster_dev_works_with_nothing_running(checkout: Path) -> None:
    nobody = {
        "VISIONOPS_POSTGRES_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "VISIONOPS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    env = environment(checkout.parent, **nobody)
    with serving([str(BIN / "dagster"), "dev"], checkout, env) as url:
        assert loaded(url) == [("visionops", "RepositoryLocation")]

        def said() -> str | None:
            return next((tick["skipReason"] for tick in ticks(url) if tick["skipReason"]), None)

        skipped = eventually("a sensor skips", said, START_TIMEOUT_S)
        assert skipped.endswith(ADVICE)
        run = run_health_check(url)
    assert run["status"] == "FAILURE"
    [error] = [event["error"] for event in run["eventConnection"]["events"] if "error" in event]
    assert ADVICE in error["message"]
    assert not error["errorChain"]


def test_dg_dev_attaches_to_a_running_stack(stack: Settings, checkout: Path) -> None:
    home = str(Paths(stack.home).attached_dagster)
    env = environment(checkout.parent, VISIONOPS_HOME=str(stack.home), DAGSTER_HOME=home)
    eventually("the stack ticks", lambda: ticks(stack.dagster_url) or None)
    with serving([str(BIN / "dg"), "dev", "--use-active-venv"], checkout, env) as url:
        assert loaded(url) == [("visionops", "RepositoryLocation")]
        assert run_health_check(url)["status"] == "SUCCESS"
        time.sleep(5 * SENSOR_INTERVAL_S)
        times_s = sorted(tick["timestamp"] for tick in ticks(url))
        assert times_s[-1] > time.time() - 3 * SENSOR_INTERVAL_S
        # One daemon ticks, that of the stack. Two would take turns.
        gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
        assert min(gaps_s) > 0.8 * SENSOR_INTERVAL_S
