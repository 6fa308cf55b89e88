"""The stack as a user handles it: started twice, servers and supervisor killed, stopped, back."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from tests.declared import model_of
from tests.stacks import visionops
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Media, Release
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.media import digits
from visionops_assets.resources.triton import TritonServer
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings

SERVERS = {
    "seaweedfs",
    "postgresql",
    "tansu",
    "mlflow",
    "triton",
    *(service.name for service in SERVICES),
    "dagster-code",
    "dagster-webserver",
    "dagster-daemon",
} | {
    server
    for server, program in (
        ("prometheus", "prometheus"),
        ("alertmanager", "prometheus-alertmanager"),
    )
    if shutil.which(program)
}

SETTLED_WITHIN_S = 60


def servers() -> dict[str, dict[str, Any]]:
    """What `visionops status --json` says, by server."""
    state = json.loads(visionops("status", "--json").stdout)
    return {server["name"]: server for server in state["servers"]}


@pytest.fixture(scope="module", autouse=True)
def media(api: PublicApi) -> None:
    """At least one file, also when the other tests did not run before."""
    list(api.upload_all(digits()[0][:1]))


@contextmanager
def nothing_is_lost(settings: Settings) -> Iterator[None]:
    """Hold that media and releases are still there after the block, and that the champion serves.

    There may be more of them: Dagster works on.
    """
    media, releases = kept(Media.media_id), kept(Release.release_id)
    yield
    assert media
    assert kept(Media.media_id) >= media
    assert kept(Release.release_id) >= releases

    def champion_serves() -> bool:
        served = TritonServer().served_version(model_of(settings).name)
        return served == champion_version(settings)

    eventually("the champion serves", champion_serves, SETTLED_WITHIN_S)


def kept(key: InstrumentedAttribute[Any]) -> set[Any]:
    with Catalog().begin() as session:
        return set(session.scalars(select(key)))


def champion_version(settings: Settings) -> int | None:
    with Catalog().begin() as session:
        release = champion(session, model_of(settings).name)
    return release.model_version if release else None


def test_up_again_is_harmless(stack: Settings) -> None:
    before = servers()
    assert set(before) == SERVERS
    again = visionops("up")
    assert again.returncode == 0
    assert {name: s["pid"] for name, s in servers().items()} == {
        name: s["pid"] for name, s in before.items()
    }


def test_a_killed_server_comes_back(stack: Settings) -> None:
    before = servers()["exporter"]
    os.kill(before["pid"], signal.SIGKILL)

    def came_back() -> dict[str, Any] | None:
        server = servers()["exporter"]
        is_back = server["status"] == "ready" and server["restarts"] == before["restarts"] + 1
        return server if is_back else None

    after = eventually("exporter ready again", came_back)
    assert after["pid"] != before["pid"]
    assert httpx.get(f"{stack.exporter_url}/healthz").status_code == 200


def test_nothing_is_lost_when_the_supervisor_is_killed(stack: Settings) -> None:
    pids = {server["pid"] for server in servers().values()}
    state = json.loads(visionops("status", "--json").stdout)
    with nothing_is_lost(stack):
        os.kill(state["supervisor_pid"], signal.SIGKILL)
        up = visionops("up")
        assert up.returncode == 0, up.stdout + up.stderr
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        assert {server["status"] for server in servers().values()} == {"ready"}


def test_state_survives_down_and_up(stack: Settings) -> None:
    with nothing_is_lost(stack):
        assert visionops("down").returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{stack.triton_http_url}/v2/health/live")
        assert visionops("status").returncode == 1
        assert visionops("up").returncode == 0
