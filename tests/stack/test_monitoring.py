"""Prometheus and Alertmanager as servers of the stack."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings
from visionops_assets.stack import alertmanager, prometheus
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.servers import build_servers

MONITORS = {"prometheus", "alertmanager"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both programs are on PATH."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


def plan(home: Path, *external: str, **settings: object) -> Plan:
    values = {"home": home, "alerts_key": "alerts-secret", **settings}
    return Plan(Settings.model_validate(values), DEFAULT_PORTS, frozenset(external))


def scraped(plan: Plan) -> dict[str, dict[str, object]]:
    read = yaml.safe_load(prometheus.configuration(plan))
    return {job["job_name"]: job for job in read["scrape_configs"]}


def test_without_the_programs_the_stack_does_without_them(missing: None, tmp_path: Path) -> None:
    names = {server.name for server in build_servers(plan(tmp_path))}
    assert not names & MONITORS
    assert "alertmanager" not in scraped(plan(tmp_path))


def test_with_the_programs_they_are_part_of_it(installed: None, tmp_path: Path) -> None:
    servers = {server.name: server for server in build_servers(plan(tmp_path))}
    assert servers.keys() >= MONITORS
    assert not any(servers[name].is_external for name in MONITORS)
    assert servers["alertmanager"].needs == ("alerts",)


def test_given_addresses_are_used(missing: None, tmp_path: Path) -> None:
    given = plan(
        tmp_path,
        "prometheus_url",
        "alertmanager_url",
        prometheus_url="http://metrics.example:9090",
        alertmanager_url="https://alerts.example",
    )
    servers = {server.name: server for server in build_servers(given)}
    assert all(servers[name].is_external for name in MONITORS)
    read = yaml.safe_load(prometheus.configuration(given))
    assert read["alerting"]["alertmanagers"] == [
        {"scheme": "https", "static_configs": [{"targets": ["alerts.example:443"]}]}
    ]


def test_every_service_is_scraped_at_its_address(installed: None, tmp_path: Path) -> None:
    jobs = scraped(plan(tmp_path, gateway_url="http://127.0.0.1:8181"))
    assert jobs.keys() == {
        *(service.name for service in SERVICES if service.addresses),
        *("triton", *MONITORS),
    }
    assert jobs["gateway"]["static_configs"] == [{"targets": ["127.0.0.1:8181"]}]
    assert jobs["triton"]["metrics_path"] == "/metrics"
    # Else its label `job` of Dagster's jobs would be renamed.
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == ["exporter"]


def test_rules_are_those_that_are_kept(installed: None, tmp_path: Path) -> None:
    files = yaml.safe_load(prometheus.configuration(plan(tmp_path)))["rule_files"]
    assert [Path(file).name for file in files] == ["alerts.yml", "recording.yml"]
    assert all(Path(file).exists() for file in files)


def test_alertmanager_shows_the_key_to_the_service_and_to_nobody_else(
    installed: None, tmp_path: Path
) -> None:
    server = alertmanager.alertmanager(plan(tmp_path, alerts_url="http://127.0.0.1:8183"))
    assert server is not None
    server.prepare()
    config = tmp_path / "prometheus" / "alertmanager.yml"
    key_file = tmp_path / "prometheus" / "alerts_key"
    (webhook,) = yaml.safe_load(config.read_text())["receivers"][0]["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:8183/v1/alerts"
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(key_file)
    assert key_file.read_text() == "alerts-secret"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert "alerts-secret" not in config.read_text()


def test_alertmanager_and_prometheus_know_each_other_by_certificate(
    installed: None, tmp_path: Path
) -> None:
    given = plan(tmp_path, alertmanager_url="https://127.0.0.1:9193")
    server = alertmanager.alertmanager(given)
    assert server is not None
    certificate = str(alertmanager.certificate(given))
    server.prepare()
    first = Path(certificate).read_bytes()
    server.prepare()
    assert Path(certificate).read_bytes() == first, "Prometheus may run with it already"
    assert f"--web.config.file={tmp_path / 'prometheus' / 'alertmanager-web.yml'}" in server.command
    web = yaml.safe_load((tmp_path / "prometheus" / "alertmanager-web.yml").read_text())
    assert web["tls_server_config"] == {
        **dict.fromkeys(("cert_file", "key_file", "client_ca_file"), certificate),
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    shown = dict.fromkeys(("ca_file", "cert_file", "key_file"), certificate)
    read = yaml.safe_load(prometheus.configuration(given))
    (peer,) = read["alerting"]["alertmanagers"]
    assert (peer["scheme"], peer["tls_config"]) == ("https", shown)
    with_certificate = {n for n, job in scraped(given).items() if job.get("tls_config") == shown}
    assert with_certificate == {"alertmanager"}


@pytest.mark.skipif(
    shutil.which("amtool") is None, reason="apt-get install prometheus-alertmanager"
)
def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    server = alertmanager.alertmanager(plan(tmp_path))
    assert server is not None
    server.prepare()
    config = str(tmp_path / "prometheus" / "alertmanager.yml")
    subprocess.run(["amtool", "check-config", config], check=True, capture_output=True)
