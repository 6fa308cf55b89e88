"""The rules: promtool finds nothing wrong, each alert is tested, and each has its runbook."""

import re
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from tests.deploy.manifests import COMPONENT, installed, matches, of_kind
from tests.deploy.monitoring import CLUSTER_RULES, DEPLOY, MONITORING, RULES, alerts, rules
from visionops_assets.cli import app
from visionops_assets.settings import Settings
from visionops_assets.stack.alertmanager import ensure_certificate
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.prometheus import configuration, targets

TESTS = sorted((MONITORING / "tests").glob("*.yml"))
SEVERITIES = {"page", "ticket"}
JOBS = {"monitor", "check_health"}


@pytest.fixture
def promtool() -> str:
    """Path of the program."""
    return installed("promtool", "apt-get install prometheus")


def test_rules_are_valid(promtool: str) -> None:
    words = [promtool, "check", "rules", *map(str, [*RULES, *CLUSTER_RULES])]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_configuration_is_valid(promtool: str, tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    plan = Plan(Settings(home=tmp_path), DEFAULT_PORTS, frozenset())
    ensure_certificate(plan)
    config.write_text(configuration(plan))
    checked = subprocess.run(
        [promtool, "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_rules_do_what_they_must(promtool: str, file: Path) -> None:
    tested = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested() -> None:
    tested = "".join(file.read_text() for file in TESTS)
    names = {alert["alert"] for alert in alerts()}
    assert names == set(re.findall(r'alertname="(\w+)"', tested)) & names


def test_a_server_that_is_not_looked_for_is_missed() -> None:
    """Its alerts would be silent, and `up` of it would not be 0 but nothing at all."""
    told = next(alert["expr"] for alert in alerts() if alert["alert"] == "TargetMissing")
    watched = set(re.findall(r'absent\(up\{job="(\w+)", namespace=~"visionops\|"\}\)', told))
    optional = {"prometheus", "alertmanager"}
    plan = Plan(Settings(), DEFAULT_PORTS, frozenset())
    known = {target.job for target in targets(plan)} - optional
    assert watched == known, "a line per server in TargetMissing, rules/alerts.yml; make manifests"
    scraped: set[str] = set()
    for monitor in of_kind("production", "ServiceMonitor").values():
        selector = monitor["spec"]["selector"]
        for service in of_kind("production", "Service").values():
            labels = service["metadata"].get("labels", {})
            scraped |= {labels[COMPONENT]} if matches(selector, labels) else set()
    assert scraped == watched


def test_rules_of_a_cluster_are_about_our_namespace_alone() -> None:
    for rule in rules(CLUSTER_RULES):
        series = re.findall(r"\bkube\w+(?:\{[^}]*\})?", rule["expr"])
        assert series
        assert all('namespace="visionops"' in each for each in series), rule["alert"]
    for rule in rules():
        assert not re.search(r"\bup ==", rule["expr"]), "every target of a cluster"


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in SEVERITIES
        assert alert["labels"].get("calls_for", "monitor") in JOBS
        assert alert["annotations"].keys() == {"summary", "description", "runbook"}
        runbook = f"deploy/RUNBOOKS.md#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook"] == runbook


def test_every_alert_has_its_runbook_and_no_runbook_is_left_over() -> None:
    sections = re.findall(r"^### (\w+)$", (DEPLOY / "RUNBOOKS.md").read_text(), re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == {alert["alert"] for alert in alerts()}


def test_every_runbook_begins_with_three_commands() -> None:
    sections = re.split(r"^### \w+$", (DEPLOY / "RUNBOOKS.md").read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        commands = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        assert [len(block.splitlines()) for block in commands] == [3], section


def test_runbooks_name_commands_that_exist() -> None:
    commands = typer.main.get_group(app).commands
    known = {name: set(getattr(found, "commands", ())) for name, found in commands.items()}
    runbooks = (DEPLOY / "RUNBOOKS.md").read_text()
    named = re.findall(r"\bvisionops ([a-z-]+)(?: ([a-z-]+))?", runbooks)
    assert len(named) > len(alerts())
    for name, sub in named:
        assert name in known
        assert not known[name] or sub in known[name], f"visionops {name} {sub}"


def test_triton_scales_by_the_wait_of_a_request_that_an_ensemble_counts_once(
    promtool: str, tmp_path: Path
) -> None:
    """Of 10 requests a second each waits 30 ms, 10 ms in each of three steps."""
    [scaler] = of_kind("production", "ScaledObject").values()
    [trigger] = scaler["spec"]["triggers"]
    rule = {"record": "wait_ms", "expr": trigger["metadata"]["query"]}
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "scaling", "rules": [rule]}]})
    )
    model = "classifier"
    steps = [f"{model}-3-{step}" for step in ("preprocess", "infer", "record")]
    series = [
        (f'nv_inference_request_success{{namespace="visionops",model="{name}"}}', 150)
        for name in (model, *steps)
    ] + [
        (f'nv_inference_queue_duration_us{{namespace="visionops",model="{name}"}}', 1_500_000)
        for name in steps
    ]
    # Another team's server is none of ours.
    series.append(('nv_inference_queue_duration_us{namespace="other",model="m"}', 9_000_000))
    test = {
        "interval": "15s",
        "input_series": [{"series": each, "values": f"0+{step}x20"} for each, step in series],
        "promql_expr_test": [
            {
                "expr": "wait_ms",
                "eval_time": "4m",
                "exp_samples": [{"labels": "wait_ms", "value": 30}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test]})
    )
    tested = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
