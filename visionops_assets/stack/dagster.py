"""Dagster: the code server that holds our definitions, the webserver and the daemon."""

import shutil
import sys

import httpx

from visionops_assets.stack import postgres
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, host_and_port
from visionops_assets.stack.server import Probe, Server

CODE = "dagster-code"
WEBSERVER = "dagster-webserver"
DAEMON = "dagster-daemon"
_START_TIMEOUT_S = 120.0
_HEARTBEATS = "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"


def code_server(plan: Plan) -> Server:
    """Describe the server that holds the definitions; runs are its child processes."""
    settings = plan.settings
    address = f"{settings.dagster_code_host}:{settings.dagster_code_port}"
    probe = accepts_connections(address)
    if plan.is_external("dagster_code_host"):
        return Server(name=CODE, address=address, probe=probe)
    options = ("-m", "visionops_assets.definitions", "-h", settings.dagster_code_host)
    return Server(
        name=CODE,
        address=address,
        command=(
            *(sys.executable, "-m", "dagster", "code-server", "start"),
            *(*options, "-p", str(settings.dagster_code_port)),
        ),
        env=_environment(plan),
        needs=(postgres.NAME,),
        prepare=lambda: _prepare(plan),
        probe=probe,
        start_timeout_s=_START_TIMEOUT_S,
        stop_timeout_s=20,
    )


def webserver(plan: Plan) -> Server:
    """Describe the web interface. It has no login, hence loopback only."""
    url = plan.settings.dagster_url
    if plan.is_external("dagster_url"):
        return Server(name=WEBSERVER, address=url, probe=accepts_connections(url))
    host, port = host_and_port(url)
    return Server(
        name=WEBSERVER,
        address=url,
        command=(
            *(sys.executable, "-m", "dagster_webserver", *_workspace(plan)),
            *("-h", host, "-p", str(port)),
        ),
        env=_environment(plan),
        needs=(CODE,),
        probe=answers_http(f"{url}/server_info"),
        start_timeout_s=_START_TIMEOUT_S,
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
        start_timeout_s=_START_TIMEOUT_S,
        stop_timeout_s=20,
    )


def _workspace(plan: Plan) -> tuple[str, str]:
    return "-w", str(plan.settings.project_root / "workspace.yaml")


def _environment(plan: Plan) -> dict[str, str]:
    return {"DAGSTER_HOME": str(plan.home / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}


def _prepare(plan: Plan) -> None:
    """Give Dagster its home, with the instance's configuration as it is now."""
    home = plan.home / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copyfile(plan.settings.project_root / "dagster.yaml", home / "dagster.yaml")


def _heartbeats(url: str) -> Probe:
    """Ready when every required daemon has given a sign since its process was started."""

    def probe(started_at_s: float) -> bool:
        try:
            answer = httpx.post(
                f"{url}/graphql", json={"query": _HEARTBEATS}, timeout=2, trust_env=False
            ).raise_for_status()
        except httpx.HTTPError:
            return False
        statuses = answer.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
        times_s = [s["lastHeartbeatTime"] for s in statuses if s["required"]]
        return bool(times_s) and all(time_s and time_s > started_at_s for time_s in times_s)

    return probe
