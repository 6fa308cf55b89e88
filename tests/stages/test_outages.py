"""Sensors beside absent servers: one sentence, and no failed tick."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from visionops_assets.definitions import definitions
from visionops_assets.resources import broker
from visionops_assets.settings import load_settings

# kafka-python leaves the socket of a consumer that found no broker to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NOBODY = "127.0.0.1:1"
"""Where nothing listens."""
NEEDS_NO_SERVER = {"unfinished_batches"}
SENSORS = sorted({sensor.name for sensor in definitions.sensors or []} - NEEDS_NO_SERVER)


@pytest.fixture
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    monkeypatch.setenv("VISIONOPS_POSTGRES_URL", f"postgresql+psycopg://nobody@{NOBODY}/none")
    monkeypatch.setenv("VISIONOPS_KAFKA_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setattr(broker, "BOOTSTRAP_TIMEOUT_S", 0.2)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.usefixtures("nothing_runs")
def test_a_sensor_without_its_server_skips_and_says_which_is_missing(name: str) -> None:
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def(name)
    used = sensor.required_resource_keys
    resources = {key: (definitions.resources or {})[key] for key in used}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, repository_def=repository, resources=resources) as given,
    ):
        tick = sensor.evaluate_tick(given)
    assert not tick.run_requests
    assert tick.skip_message
    assert NOBODY in tick.skip_message
    assert tick.skip_message.endswith("Is `visionops up` running?")
    assert "\n" not in tick.skip_message
