"""MLflow's alias follows the catalog, on a real registry in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from tests.defined import sensor_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import load_settings
from visionops_assets.stages.serving import alias

# Of MLflow's store on the SQLAlchemy that there is.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
MODEL = "classifier"


class FakeCatalog(Catalog):
    """A catalog whose sessions are nothing."""

    @contextmanager
    def begin(self) -> Iterator[Any]:
        yield None


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONOPS_MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        load_settings.cache_clear()
        tracking = Tracking()
        run_id = tracking.create_run("digits", "a training", {})
        assert [tracking.register(MODEL, run_id, {}) for _ in range(2)] == [1, 2]
        yield tracking
    load_settings.cache_clear()


def tick(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, champion: int | None
) -> tuple[str, list[str]]:
    """Return what the sensor says of its tick, and what it says of the asset."""
    release = champion and SimpleNamespace(model_version=champion)
    monkeypatch.setattr(alias, "champion", lambda *_: release)
    resources = {"catalog": FakeCatalog(), "tracking": tracking}
    result = sensor_of("champion_alias")(dg.build_sensor_context(resources=resources))
    assert isinstance(result, dg.SensorResult)
    assert isinstance(result.skip_reason, dg.SkipReason)
    said = [str(event.description) for event in result.asset_events]
    return str(result.skip_reason.skip_message), said


def test_an_alias_that_was_moved_by_hand_is_brought_back_and_that_is_said(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.set_champion(MODEL, 2)
    said, events = tick(tracking, monkeypatch, champion=1)
    assert tracking.champion_version(MODEL) == 1
    assert events == [said]
    assert "named version 2. It names version 1 again" in said
    assert "visionops releases" in said
    assert tick(tracking, monkeypatch, champion=1)[1] == []


def test_an_alias_that_was_removed_is_set_again(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking._client.delete_registered_model_alias(MODEL, "champion")
    assert "named no version" in tick(tracking, monkeypatch, champion=2)[0]
    assert tracking.champion_version(MODEL) == 2


def test_nothing_is_done_before_the_first_release(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.set_champion(MODEL, 2)
    assert tick(tracking, monkeypatch, champion=None)[1] == []
    assert tracking.champion_version(MODEL) == 2


def test_a_version_that_mlflow_does_not_know_is_told_of(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, events = tick(tracking, monkeypatch, champion=9)
    assert "MLflow: " in said
    assert events == []
