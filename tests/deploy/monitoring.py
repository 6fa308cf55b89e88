"""What is kept in `deploy/monitoring`, as tests read it."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
MONITORING = DEPLOY / "monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yml"))
CLUSTER_RULES = sorted((MONITORING / "cluster_rules").glob("*.yml"))
"""Of a cluster alone, beside the others."""
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
TEMPLATED = {"$model": ".*", "$__rate_interval": "1m"}
"""What Grafana fills in, and what tests do."""

_SELECTOR = re.compile(
    r"\b((?:visionops[_:]|nv_|process_|alertmanager_)[a-zA-Z0-9_:]*|up\b)(\{[^}]*\})?"
)


def rules(files: Iterable[Path] = RULES) -> Iterator[dict[str, Any]]:
    """Yield every rule of these files, those that record and those that alert."""
    for file in files:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    """Return the rules that alert, those of a cluster among them."""
    return [rule for rule in rules([*RULES, *CLUSTER_RULES]) if "alert" in rule]


def dashboard(file: Path) -> dict[str, Any]:
    """Read one dashboard."""
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def panels(file: Path) -> list[dict[str, Any]]:
    """Return what a dashboard shows, without the rows' titles."""
    return [panel for panel in dashboard(file)["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> set[str]:
    """Return what dashboards ask Prometheus, with the variables filled in."""
    return {
        _filled(target["expr"])
        for file in DASHBOARDS
        for panel in panels(file)
        for target in panel["targets"]
    }


def rule_expressions() -> set[str]:
    """Return what the rules of every place ask."""
    return {rule["expr"].strip() for rule in rules()}


def selectors(expression: str) -> set[str]:
    """Return the selectors of an expression: names of series, with their matchers.

    Names are known by their beginnings, which those of functions and labels do not have.
    """
    return {name + matchers for name, matchers in _SELECTOR.findall(expression)}


def _filled(expression: str) -> str:
    for variable, value in TEMPLATED.items():
        expression = expression.replace(variable, value)
    return expression
