"""Prometheus, if it is on PATH: scrapes the servers, evaluates the rules of deploy/monitoring."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from visionops_assets.roster.ours import SERVICES
from visionops_assets.stack import alertmanager
from visionops_assets.stack.paths import write_private
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, host_and_port
from visionops_assets.stack.server import Server
from visionops_assets.stack.templates import render

NAME = "prometheus"


@dataclass(frozen=True)
class Target:
    """One scraped job: its name, and the address of its metrics."""

    job: str
    scheme: str
    address: str
    path: str
    keeps_job_label: bool = False
    """Whether its series have a label `job` that Prometheus must leave as it is."""


def prometheus(plan: Plan) -> Server | None:
    """Describe the server; None where it is not installed: the stack works without it."""
    settings = plan.settings
    url = settings.prometheus_url
    if plan.is_external("prometheus_url"):
        return Server(name=NAME, address=url, probe=accepts_connections(url))
    program = shutil.which("prometheus")
    if program is None:
        return None
    host, port = host_and_port(url)
    folder = plan.home / "prometheus"
    config = folder / "prometheus.yml"
    return Server(
        name=NAME,
        address=url,
        command=(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--storage.tsdb.retention.time={settings.prometheus_retention_d}d",
            f"--web.listen-address={host}:{port}",
            # By default pages of every origin may read its data.
            f"--web.cors.origin=https?://{host}(:[0-9]+)?",
            "--log.level=warn",
        ),
        prepare=lambda: _prepare(plan, config),
        probe=answers_http(f"{url}/-/ready"),
    )


def _prepare(plan: Plan, config: Path) -> None:
    alertmanager.ensure_certificate(plan)
    write_private(config, configuration(plan))


def configuration(plan: Plan) -> str:
    """Return `prometheus.yml` for the addresses of this stack."""
    monitoring = plan.settings.project_root / "deploy" / "monitoring"
    alertmanager_url = plan.settings.alertmanager_url
    return render(
        monitoring / "prometheus.yml.j2",
        interval_s=plan.settings.prometheus_scrape_interval_s,
        rules=sorted(map(str, (monitoring / "rules").glob("*.yml"))),
        targets=targets(plan),
        alertmanager=_target("alertmanager", alertmanager_url)
        if alertmanager.is_part(plan)
        else None,
        certificate=None
        if plan.is_external("alertmanager_url")
        else alertmanager.certificate(plan),
    )


def targets(plan: Plan) -> list[Target]:
    """Return the jobs: every server that has metrics."""
    settings = plan.settings
    found = [_target("triton", settings.triton_metrics_url)]
    for service in SERVICES:
        if service.addresses:
            url = getattr(settings, service.addresses[0].setting)
            target = _target(service.name, f"{url}/metrics")
            found.append(replace(target, keeps_job_label=service.has_own_job_label))
    found.append(_target(NAME, f"{settings.prometheus_url}/metrics"))
    if alertmanager.is_part(plan):
        found.append(_target(alertmanager.NAME, f"{settings.alertmanager_url}/metrics"))
    return found


def _target(job: str, url: str) -> Target:
    host, port = host_and_port(url)
    parts = urlsplit(url)
    return Target(job, parts.scheme, f"{host}:{port}", parts.path)
