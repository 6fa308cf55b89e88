"""Builds the page of alerts from the rules that Prometheus evaluates."""

from itertools import groupby
from operator import itemgetter
from typing import Any

import yaml

from reference_pages.markdown import code, page, table
from visionops_assets.settings import Settings

RUNBOOKS = "../how-to/runbooks.md"
_RULES = "deploy/monitoring/rules/alerts.yml"
_CLUSTER_RULES = "deploy/monitoring/cluster_rules/kubernetes.yml"

_INTRODUCTION = f"""\
The rules are in `{_RULES}`, those of a cluster alone in
`{_CLUSTER_RULES}`. `page` needs somebody now, `ticket` on the next
working day. An alert that calls for a job has started that Dagster job once. The link of each leads
to its runbook."""


def build() -> str:
    """Return the page, a section per group and a row per alert and severity."""
    root = Settings.model_fields["project_root"].default
    files = [root / _RULES, root / _CLUSTER_RULES]
    sections = []
    for group in [g for file in files for g in yaml.safe_load(file.read_text())["groups"]]:
        alerts = [rule for rule in group["rules"] if "alert" in rule]
        by_name = groupby(alerts, key=itemgetter("alert"))
        rows = [_row(name, list(rules)) for name, rules in by_name]
        headers = ["alert", "severity", "waits", "calls for", "says"]
        sections += [f"## {group['name'].capitalize()}", table(headers, rows)]
    return page("Alerts", _INTRODUCTION, *sections)


def _row(name: str, rules: list[dict[str, Any]]) -> list[str]:
    first = rules[0]
    anchor = first["annotations"]["runbook"].partition("#")[2]
    severities = dict.fromkeys(rule["labels"]["severity"] for rule in rules)
    return [
        f"[{name}]({RUNBOOKS}#{anchor})",
        ", ".join(severities),
        first.get("for", ""),
        code(first["labels"].get("calls_for", "")),
        first["annotations"]["summary"],
    ]
