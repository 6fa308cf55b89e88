"""Alertmanager's configuration: as Helm merges it with the chart's defaults, and of one machine."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, installed
from tests.deploy.monitoring import DEPLOY, alerts
from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings
from visionops_assets.stack.pager import Mail, Pager, configuration, pager_of

HELM = KUBERNETES / "helm"
SCRIPT = KUBERNETES / "build_alertmanager.py"
CHART = Path(__file__).parent / "charts" / "kube-prometheus-stack"
ALL_WAYS = (
    *("--slack", "--pagerduty", "--webhook", "https://pager.example/hook"),
    *("--mail-to", "oncall@example.com", "--mail-from", "visionops@example.com"),
    *("--mail-server", "smtp.example.com:587", "--mail-user", "visionops"),
)


@pytest.fixture
def amtool() -> str:
    """Path of the program."""
    return installed("amtool", "apt-get install prometheus-alertmanager")


def built(*options: str) -> str:
    """Return the values that the script prints."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=True
    ).stdout


def merged(*files: Path) -> str:
    """Return Alertmanager's configuration as Helm makes it of the chart's values and these."""
    values = [word for file in files for word in ("--values", str(file))]
    done = subprocess.run(
        [installed("helm"), "template", "monitoring", str(CHART), *values],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(amtool: str, config: Path) -> str:
    """Return what amtool has against a configuration; empty, if nothing."""
    checked = subprocess.run(
        [amtool, "check-config", str(config)], capture_output=True, text=True, check=False
    )
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr


def told(amtool: str, config: Path, *labels: str) -> list[str]:
    """Name who is told of an alert with these labels."""
    words = [amtool, "config", "routes", "test", f"--config.file={config}", *labels]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.strip().split(",")


def test_what_is_kept_is_what_is_built() -> None:
    kept = (HELM / "alertmanager.yaml").read_text()
    assert built() == kept, "build_alertmanager.py > helm/alertmanager.yaml"


@pytest.mark.parametrize("options", [(), ALL_WAYS], ids=["nobody", "all"])
def test_a_clusters_alertmanager_takes_the_merged_configuration(
    amtool: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ours = tmp_path / "alertmanager.yaml"
    ours.write_text(built(*options))
    config = tmp_path / "merged.yml"
    config.write_text(merged(HELM / "kube-prometheus-stack.yaml", ours))
    assert refusal(amtool, config) == ""
    page = ["pager", "visionops"] if options else ["visionops"]
    assert told(amtool, config, "alertname=TargetDown", "severity=page") == page
    assert told(amtool, config, "alertname=DeadLetters", "severity=ticket") == ["visionops"]
    assert told(amtool, config, "alertname=KubePodCrashLooping", "severity=warning") == [
        "visionops"
    ]
    for own in ("alertname=Watchdog", "alertname=InfoInhibitor", "severity=info"):
        assert told(amtool, config, own) == ["null"]


def test_a_list_that_is_left_to_the_chart_is_noticed(amtool: str, tmp_path: Path) -> None:
    """As once: its route to the receiver `null` stayed, and that receiver was replaced."""
    values = yaml.safe_load(built())
    del values["alertmanager"]["config"]["route"]["routes"]
    values["alertmanager"]["config"]["receivers"].pop(0)
    ours, config = tmp_path / "alertmanager.yaml", tmp_path / "merged.yml"
    ours.write_text(yaml.safe_dump(values))
    config.write_text(merged(ours))
    assert 'undefined receiver "null"' in refusal(amtool, config)


def of_one_machine(home: Path, **settings: object) -> str:
    """Return the configuration that `visionops up` would write."""
    given = Settings.model_validate({"home": home, **settings})
    pager = pager_of(given, home)
    return configuration(
        DEPLOY.parent, "http://127.0.0.1:8083/v1/alerts", "/key", pager, beside_others=False
    )


SECRET = "a-secret-of-ours"
WAYS: list[dict[str, object]] = [
    {"pager_slack_url": f"https://hooks.example/{SECRET}"},
    {"pager_pagerduty_key": SECRET},
    {"pager_webhook_url": "https://pager.example/hook"},
    {
        "pager_email_to": "a@example.com, b@example.com",
        "pager_email_from": "visionops@example.com",
        "pager_email_server": "smtp.example.com:587",
        "pager_email_user": "visionops",
        "pager_email_password": SECRET,
    },
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way)))
def test_a_setting_pages_people_on_one_machine(
    amtool: str, tmp_path: Path, way: dict[str, object]
) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(of_one_machine(tmp_path, **way))
    assert refusal(amtool, config) == ""
    assert SECRET not in config.read_text()
    assert told(amtool, config, "severity=page") == ["pager", "visionops"]
    assert told(amtool, config, "severity=ticket") == ["visionops"]
    for file in tmp_path.glob("pager_*"):
        assert file.stat().st_mode & 0o077 == 0


def test_without_a_setting_ours_is_told_alone(amtool: str, tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(of_one_machine(tmp_path))
    assert refusal(amtool, config) == ""
    assert told(amtool, config, "severity=page") == ["visionops"]
    assert pager_of(Settings(), tmp_path) == Pager()


def test_mail_without_a_sender_is_refused(tmp_path: Path) -> None:
    given = {"pager_email_to": "a@example.com", "pager_email_user": "a"}
    with pytest.raises(SettingsError, match=r"FROM and .*_SERVER and .*_PASSWORD"):
        pager_of(Settings.model_validate(given), tmp_path)


def test_mail_needs_a_password_only_for_a_user(tmp_path: Path) -> None:
    open_to_all = {
        "pager_email_to": "a@example.com",
        "pager_email_from": "visionops@example.com",
        "pager_email_server": "smtp.example.com:25",
    }
    mail = pager_of(Settings.model_validate(open_to_all), tmp_path).mail
    assert mail == Mail("a@example.com", "visionops@example.com", "smtp.example.com:25")
    with pytest.raises(SettingsError, match="and VISIONOPS_PAGER_EMAIL_PASSWORD is not"):
        pager_of(Settings.model_validate(open_to_all | {"pager_email_user": "a"}), tmp_path)


def test_alertmanager_is_told_the_same_everywhere(tmp_path: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["configs"]["alertmanager"]
    of_compose: dict[str, Any] = yaml.safe_load(compose["content"])
    chart: dict[str, Any] = yaml.safe_load(built())["alertmanager"]["config"]
    chart["route"]["routes"] = [r for r in chart["route"]["routes"] if r["receiver"] != "null"]
    local = yaml.safe_load(of_one_machine(tmp_path))
    for part in ("route", "inhibit_rules"):
        assert of_compose[part] == chart[part] == local[part]


def test_pages_are_what_the_rules_call_so() -> None:
    assert {alert["labels"]["severity"] for alert in alerts()} == {"page", "ticket"}
