"""The pods of the manifests on two hosts, one of which vanishes: a short run of `tests.hosts`."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.deploy.manifests import installed
from tests.hosts.launching import launch, new_home
from tests.hosts.network import why_not


def require_namespaces() -> None:
    """Skip where there can be no hosts of our own; where nobody may skip, fail."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_no_request_fails_when_pods_and_a_host_die(tmp_path: Path) -> None:
    require_namespaces()
    installed("kubectl")
    out = tmp_path / "multi.json"

    home = new_home()
    exit_code = launch(home, "--out", str(out))

    figures = json.loads(out.read_text())
    assert exit_code == 0, figures
    shutil.rmtree(home)
    assert (figures["hosts"], figures["pods"]) == (2, 10)
    assert figures["kills"] == {"gateway": 1, "ingest": 1, "triton": 1, "host": 1}
    assert (figures["acked_lost"], figures["doubled"], figures["failed"]) == (0, 0, 0)
    assert figures["uploads_acknowledged"] > 0
    assert min(figures["requests"].values()) > 0
    assert all(figures["events_published_by"].values())
    assert (figures["releases"], figures["tritons_at_champion"]) == (3, 2)
    # Of the relay that vanished with rows in its hands.
    assert [seconds is not None for seconds in figures["transactions_ended_s"]] == [True]
