"""Alertmanager, if it is on PATH: it groups Prometheus' alerts and tells our alerts service."""

import shutil
from pathlib import Path

from visionops_assets.roster import ours
from visionops_assets.stack.certificates import write_certificate
from visionops_assets.stack.pager import configuration, pager_of
from visionops_assets.stack.paths import write_private
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, host_and_port
from visionops_assets.stack.server import Server

NAME = "alertmanager"
# The program's name in Debian, and its own.
_PROGRAMS = ("prometheus-alertmanager", "alertmanager")
_WEB = """\
tls_server_config:
  cert_file: "{certificate}"
  key_file: "{certificate}"
  client_ca_file: "{certificate}"
  client_auth_type: RequireAndVerifyClientCert
"""


def alertmanager(plan: Plan) -> Server | None:
    """Describe the server; None where it is not installed: the stack works without it."""
    settings = plan.settings
    url = settings.alertmanager_url
    if plan.is_external("alertmanager_url"):
        return Server(name=NAME, address=url, probe=accepts_connections(url))
    program = find_program()
    if program is None:
        return None
    host, port = host_and_port(url)
    folder = plan.home / "prometheus"
    return Server(
        name=NAME,
        address=url,
        command=(
            program,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={host}:{port}",
            # Otherwise pages of every origin could silence alerts.
            f"--web.config.file={folder / 'alertmanager-web.yml'}",
            # This one is alone: it must not listen to others.
            "--cluster.listen-address=",
            "--log.level=warn",
        ),
        needs=(ours.ALERTS.name,),
        prepare=lambda: _prepare(plan),
        probe=answers_http(f"{url}/-/ready", certificate(plan)),
    )


def is_part(plan: Plan) -> bool:
    """Say whether the stack has an Alertmanager: one of its own, or one that others run."""
    return plan.is_external("alertmanager_url") or find_program() is not None


def find_program() -> str | None:
    """Return the path of the program; None where it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


def certificate(plan: Plan) -> Path:
    """Name the file of the certificate that it shows, and demands of its clients."""
    return plan.home / "prometheus" / "alertmanager.pem"


def ensure_certificate(plan: Plan) -> None:
    """Make the certificate if it is missing: Prometheus and Alertmanager start in any order."""
    if not certificate(plan).exists():
        write_certificate(certificate(plan), [host_and_port(plan.settings.alertmanager_url)[0]])


def _prepare(plan: Plan) -> None:
    """Write the configuration, and the key into a file of its own, so that it is not shown."""
    settings = plan.settings
    folder = plan.home / "prometheus"
    ensure_certificate(plan)
    write_private(folder / "alertmanager-web.yml", _WEB.format(certificate=certificate(plan)))
    key_file = folder / "alerts_key"
    key = settings.alerts_key.get_secret_value() if settings.alerts_key else ""
    write_private(key_file, key)
    config = configuration(
        settings.project_root,
        f"{settings.alerts_url}/v1/alerts",
        str(key_file),
        pager_of(settings, folder),
        beside_others=False,
    )
    write_private(folder / "alertmanager.yml", config)
