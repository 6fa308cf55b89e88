"""Builds `base/rules.yaml` of Prometheus' rules: `python deploy/kubernetes/build_rules.py [FILE]`.

The operator takes rules as an object of its own only, and Kustomize cannot put a file into one; a
test compares.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[1] / "monitoring"
FOLDERS = ("rules", "cluster_rules")
HEAD = "# Built of the rules of deploy/monitoring by `make manifests`; not to be edited.\n"


def prometheus_rule() -> dict[str, Any]:
    """Return the PrometheusRule that holds the groups of every file of rules, in their order."""
    files = [file for folder in FOLDERS for file in sorted((MONITORING / folder).glob("*.yml"))]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "visionops"},
        "spec": {"groups": groups},
    }


def main() -> None:
    """Write it to the file that is given, or where it is kept."""
    default = Path(__file__).parent / "base" / "rules.yaml"
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    file.write_text(HEAD + yaml.safe_dump(prometheus_rule(), sort_keys=False, width=100))


if __name__ == "__main__":
    main()
