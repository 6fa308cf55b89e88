"""What sensors and assets say when a server is absent or a request is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from visionops_assets.definitions import definitions
from visionops_assets.errors import NotFoundError, ServerUnreachableError
from visionops_assets.resources import broker
from visionops_assets.resources.sentences import ADVICE, fail_in_words
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
    monkeypatch.setenv("VISIONOPS_MLFLOW_TRACKING_URI", f"http://{NOBODY}")
    # Sensors of engines ask nobody anything before these are set.
    monkeypatch.setenv("VISIONOPS_ENGINE_GPUS", "NVIDIA-L4")
    monkeypatch.setenv("VISIONOPS_K8S_TRAINER_IMAGE", "trainer")
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
    assert tick.skip_message.endswith(ADVICE)
    assert "\n" not in tick.skip_message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ServerUnreachableError("It is down."), f"It is down. {ADVICE}"),
        (NotFoundError("There is no snapshot."), "There is no snapshot."),
    ],
)
def test_an_asset_fails_with_the_sentence_of_our_error(error: Exception, said: str) -> None:
    @dg.asset
    @fail_in_words
    def wrong() -> None:
        raise error

    result = dg.materialize([wrong], raise_on_error=False)
    [failure] = [event.step_failure_data for event in result.get_step_failure_events()]
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == said
    assert failure.error is not None
    assert failure.error.cause is None


def test_an_asset_that_yields_fails_in_words_too() -> None:
    @dg.asset
    @fail_in_words
    def wrong() -> Iterator[dg.MaterializeResult[None]]:
        yield from ()
        raise NotFoundError("There is no snapshot.")

    result = dg.materialize([wrong], raise_on_error=False)
    [failure] = [event.step_failure_data for event in result.get_step_failure_events()]
    assert failure.user_failure_data is not None
    assert failure.user_failure_data.description == "There is no snapshot."


def test_an_unforeseen_error_keeps_its_trace() -> None:
    @fail_in_words
    def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wrong()


ASSETS = [each for each in definitions.assets or [] if isinstance(each, dg.AssetsDefinition)]


@pytest.mark.parametrize("asset", [each for each in ASSETS if each.is_executable], ids=str)
def test_every_asset_fails_in_words(asset: dg.AssetsDefinition) -> None:
    compute: Any = asset.op.compute_fn
    assert compute.decorated_fn.__code__.co_name in {"failing", "yielding"}
