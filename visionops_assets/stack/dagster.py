"""Dagster: the code server that holds our definitions, the webserver and the daemon."""

import shutil
import sys
import time
from typing import Any

import httpx

from visionops_assets.errors import StackError
from visionops_assets.settings import secret_environment, secret_fields
from visionops_assets.settings.paging import PagingSettings
from visionops_assets.stack import postgres
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import (
    accepts_connections,
    answers_http,
    answers_http2,
    host_and_port,
    tls,
)
from visionops_assets.stack.server import Probe, Server

CODE = "dagster-code"
WEBSERVER = "dagster-webserver"
DAEMON = "dagster-daemon"
_LOAD_TIMEOUT_S = 120.0
_LOAD_POLL_S = 0.5
_HEARTBEATS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
  loadStatus locationOrLoadError { ... on PythonError {
    message errorChain { error { message } } } } } } } }"""
OF_ERASURE = {"s3_erasure_access_key_id", "s3_erasure_secret_access_key"}
"""Of the command alone: no run may remove versions."""


def code_server(plan: Plan) -> Server:
    """Describe the server that holds the definitions; runs are its child processes.

    Not `dagster code-server start`: that is a proxy, which lives on when the server behind it dies,
    so that nobody starts it again.
    """
    settings = plan.settings
    address = f"{settings.dagster_code_host}:{settings.dagster_code_port}"
    if plan.is_external("dagster_code_host"):
        return Server(name=CODE, address=address, probe=accepts_connections(address))
    options = ("-m", "visionops_assets.definitions", "-h", settings.dagster_code_host)
    return Server(
        name=CODE,
        address=address,
        command=(
            *(sys.executable, "-m", "visionops_assets.stack.code_server", "--lazy-load-user-code"),
            *(*options, "-p", str(settings.dagster_code_port)),
        ),
        env=_environment(plan),
        needs=(postgres.NAME,),
        prepare=lambda: _prepare(plan),
        probe=answers_http2(address),
        # Runs are its children, and end with it.
        patience_s=180,
        stop_timeout_s=20,
    )


def webserver(plan: Plan) -> Server:
    """Describe the web pages. They have no login, so only loopback and themselves may ask."""
    url = plan.settings.dagster_url
    if plan.is_external("dagster_url"):
        return Server(name=WEBSERVER, address=url, probe=accepts_connections(url))
    host, port = host_and_port(url)
    return Server(
        name=WEBSERVER,
        address=url,
        command=(
            *(sys.executable, "-m", "visionops_assets.services.dagster_webserver"),
            *(*_workspace(plan), "-h", host, "-p", str(port)),
        ),
        env=_environment(plan),
        needs=(CODE,),
        probe=answers_http(f"{url}/server_info"),
        setup=lambda: _check_definitions(url),
    )


def daemon(plan: Plan) -> Server:
    """Describe the daemon that ticks sensors and launches runs."""
    url = plan.settings.dagster_url
    if plan.is_external("dagster_url"):
        return Server(name=DAEMON, address="", probe=accepts_connections(url))
    return Server(
        name=DAEMON,
        address="",
        command=(sys.executable, "-m", "dagster._daemon", "run", *_workspace(plan)),
        env=_environment(plan),
        needs=(CODE,),
        probe=_heartbeats(url),
        lives=_heartbeats(url, unasked=True),
        # A tick that waits for a server is not a reason to end the daemon.
        patience_s=300,
        stop_timeout_s=20,
    )


def _workspace(plan: Plan) -> tuple[str, str]:
    return "-w", str(plan.settings.project_root / "deploy" / "workspace.yaml")


def _environment(plan: Plan) -> dict[str, str]:
    """Return the variables, with the secrets of all servers that runs use: they inherit them."""
    settings = plan.settings
    env = {"DAGSTER_HOME": str(Paths(plan.home).dagster), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    if settings.s3_endpoint_url:
        # The manager of run logs needs it: its own setting of an address may not be missing.
        env["AWS_ENDPOINT_URL_S3"] = settings.s3_endpoint_url
    used = secret_fields() - PagingSettings.model_fields.keys() - OF_ERASURE
    return env | plan.s3_credentials | secret_environment(settings, *used)


def _prepare(plan: Plan) -> None:
    """Write the current configuration of the instance, for the stack and for `dagster dev`."""
    paths = Paths(plan.home)
    homes = {paths.dagster: "dagster.yaml", paths.attached_dagster: "dagster-attached.yaml"}
    for home, template in homes.items():
        home.mkdir(exist_ok=True, mode=0o700)
        shutil.copyfile(plan.settings.project_root / "deploy" / template, home / "dagster.yaml")


def _ask(url: str, query: str) -> Any:
    asked = {"query": query}
    answer = httpx.post(f"{url}/graphql", json=asked, timeout=10, trust_env=False, verify=tls())
    return answer.raise_for_status().json()["data"]


def _check_definitions(url: str) -> None:
    """Wait until the webserver has loaded our definitions.

    Raises:
        StackError: they do not load; its message is that of the exception that caused it.

    """
    deadline = time.monotonic() + _LOAD_TIMEOUT_S
    while time.monotonic() < deadline:
        entries = _ask(url, _LOCATIONS)["workspaceOrError"]["locationEntries"]
        problem = next((e for e in entries if "message" in (e["locationOrLoadError"] or {})), None)
        if problem:
            raise StackError(f"the definitions do not load: {_cause(problem)}")
        if all(entry["loadStatus"] == "LOADED" for entry in entries):
            return
        time.sleep(_LOAD_POLL_S)
    raise StackError(f"the definitions did not load within {_LOAD_TIMEOUT_S:.0f} s")


def _cause(entry: dict[str, Any]) -> str:
    error = entry["locationOrLoadError"]
    messages = [error["message"], *(link["error"]["message"] for link in error["errorChain"])]
    return str(messages[-1]).strip()


def _heartbeats(url: str, *, unasked: bool = False) -> Probe:
    """Say whether every required daemon gave a sign since then; `unasked` if nobody answers."""

    def probe(started_at_s: float) -> bool:
        try:
            answer = _ask(url, _HEARTBEATS)
        except httpx.HTTPError:
            return unasked
        statuses = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        times_s = [status["lastHeartbeatTime"] for status in statuses if status["required"]]
        return bool(times_s) and all(time_s and time_s > started_at_s for time_s in times_s)

    return probe
