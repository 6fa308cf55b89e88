"""A pytest plugin: writes a table of what was tried and what held, into build/attacks.json."""

import json
from pathlib import Path
from typing import Any

import pytest

TABLE = Path("build/attacks.json")
ATTACK, FIGURES = "attack", "figures"
RESULTS = {"passed": "held", "failed": "BROKEN", "skipped": "untried"}


class Attacks:
    """Gathers one row per test."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note of each test what it tries: the first line of its docstring, with its parameters."""
        for item in items:
            said = (getattr(item, "function", None).__doc__ or item.name).splitlines()[0]
            case = item.name.partition("[")[2].rstrip("]")
            item.user_properties.append((ATTACK, f"{said} ({case})" if case else said))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a test, and the figures that it recorded as properties."""
        if report.when != "call" and report.passed:
            return
        noted = dict(report.user_properties)
        self.rows[report.nodeid] = {
            "attack": noted.pop(ATTACK, report.nodeid),
            "result": RESULTS[report.outcome],
            "seconds": round(report.duration, 1),
            FIGURES: noted,
        }

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table and write it."""
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(json.dumps(list(self.rows.values()), indent=2) + "\n")
        terminalreporter.section(f"attacks, also in {TABLE}")
        for row in self.rows.values():
            figures = ", ".join(f"{name} {value}" for name, value in row[FIGURES].items())
            said = f"{row['result']:7} {row['attack']}"
            terminalreporter.write_line(said + (figures and f": {figures}"))


def pytest_configure(config: pytest.Config) -> None:
    """Register the table."""
    config.pluginmanager.register(Attacks(), "attacks")
