"""Builds Alertmanager's configuration as values of the chart kube-prometheus-stack.

    python deploy/kubernetes/build_alertmanager.py --slack --mail-to oncall@example.com \
      --mail-from visionops@example.com --mail-server smtp.example.com:587 > alertmanager.yaml

Helm takes the result as a second `--values`. What is secret is read from keys of the Secret
`visionops-alerts` in the namespace of Alertmanager: `key`, and as needed `slack_url`,
`pagerduty_key`, `mail_password`. Without options nobody is paged: `helm/alertmanager.yaml`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from visionops_assets.stack.pager import Mail, Pager, configuration

ROOT = Path(__file__).parents[2]
SECRET = "visionops-alerts"  # noqa: S105 - its name
FOLDER = f"/etc/alertmanager/secrets/{SECRET}"
HEAD = "# Built by deploy/kubernetes/build_alertmanager.py; not to be edited.\n"


def values(pager: Pager) -> dict[str, Any]:
    """Return the values, with the lists whole: Helm merges maps, and replaces lists."""
    text = configuration(
        ROOT,
        "http://alerts.visionops:8083/v1/alerts",
        f"{FOLDER}/key",
        pager,
        beside_others=True,
    )
    return {"alertmanager": {"config": yaml.safe_load(text)}}


def pager_of(arguments: Sequence[str]) -> Pager:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--slack", action="store_true", help="page by Slack: key slack_url")
    parser.add_argument("--pagerduty", action="store_true", help="page by it: key pagerduty_key")
    parser.add_argument("--webhook", default="", metavar="URL", help="page by this URL")
    parser.add_argument("--mail-to", default="", metavar="ADDRESSES", help="page by mail")
    parser.add_argument("--mail-from", default="", metavar="ADDRESS")
    parser.add_argument("--mail-server", default="", metavar="HOST:PORT")
    parser.add_argument("--mail-user", default="", help="with the password of key mail_password")
    given = parser.parse_args(arguments)
    if given.mail_to and not (given.mail_from and given.mail_server):
        parser.error("--mail-to needs --mail-from and --mail-server")
    password_file = f"{FOLDER}/mail_password"
    mail = Mail(given.mail_to, given.mail_from, given.mail_server, given.mail_user, password_file)
    return Pager(
        slack_url_file=f"{FOLDER}/slack_url" if given.slack else "",
        pagerduty_key_file=f"{FOLDER}/pagerduty_key" if given.pagerduty else "",
        webhook_url=given.webhook,
        mail=mail if given.mail_to else None,
    )


def main() -> None:
    """Print the values."""
    made = yaml.safe_dump(values(pager_of(sys.argv[1:])), sort_keys=False, width=100)
    sys.stdout.write(HEAD + made)


if __name__ == "__main__":
    main()
