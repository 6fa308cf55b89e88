"""A command starts at once: what it does not need is not imported."""

import subprocess
import sys

SLOW = ("boto3", "dagster", "httpx", "numpy", "pandas", "sqlalchemy", "torch")
"""Packages that take a quarter of a second or more to import."""


def test_commands_are_there_without_slow_packages() -> None:
    program = f"import sys, visionops_assets.cli; print({{*{SLOW}}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
