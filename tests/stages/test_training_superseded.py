"""A training whose snapshot became old while it waited ends at its start; MLflow is in a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from tests.defined import asset_of, step_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import VisionOpsError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import load_settings
from visionops_assets.stages.training import assets, request
from visionops_assets.stages.training.sensors import run_config_of

# Of MLflow's store on the SQLAlchemy that there is.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
Run = Callable[[dict[str, Any]], dg.ExecuteInProcessResult]


class FakeCatalog(Catalog):
    """A catalog whose sessions are nothing."""

    @contextmanager
    def begin(self) -> Iterator[Any]:
        yield None


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The snapshots that were trained on; `ds-new` is newer than `ds-old`."""
    snapshots = {
        name: SimpleNamespace(snapshot_id=name, model_name="classifier")
        for name in ("ds-old", "ds-new")
    }
    monkeypatch.setattr(request, "newest_snapshot", lambda *_: snapshots["ds-new"])
    monkeypatch.setattr(request, "find_snapshot", lambda _, name: snapshots[name])
    asked: list[str] = []

    def train(_training: Any, snapshot: Any, *given: Any) -> Any:
        asked.append(snapshot.snapshot_id)
        raise VisionOpsError("Enough is seen.")

    monkeypatch.setattr(assets._Training, "_train", train)
    return asked


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def run(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    monkeypatch.setenv("VISIONOPS_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    load_settings.cache_clear()
    resources = {
        "catalog": FakeCatalog(),
        "object_store": ObjectStore(),
        "tracking": Tracking(),
        "records": dg.mem_io_manager,
    }

    def with_config(config: dict[str, Any]) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [asset_of("trained_model")],
            instance=instance,
            run_config={"ops": {step_of("trained_model"): {"config": config}}},
            resources=resources,
            raise_on_error=False,
        )

    yield with_config
    load_settings.cache_clear()


def asked_by_sensor(snapshot_id: str) -> dict[str, Any]:
    config: dict[str, Any] = run_config_of("classifier", snapshot_id)["ops"][
        step_of("trained_model")
    ]["config"]
    return config


def test_it_ends_green_and_says_so(
    run: Run, instance: dg.DagsterInstance, trained_on: list[str]
) -> None:
    ended = run(asked_by_sensor("ds-old"))
    assert ended.success
    assert trained_on == []
    assert ended.asset_materializations_for_node(step_of("trained_model")) == []
    kept = instance.get_run_by_id(ended.run_id)
    assert kept is not None
    assert kept.tags["visionops/superseded_by"] == "ds-new"
    (said,) = [event for event in ended.all_events if event.is_asset_observation]
    told = said.asset_observation_data.asset_observation.description or ""
    assert "Nothing is trained on ds-old" in told
    assert "visionops train classifier --snapshot ds-old" in told


def test_the_newest_snapshot_is_trained_on(run: Run, trained_on: list[str]) -> None:
    run(asked_by_sensor("ds-new"))
    assert trained_on == ["ds-new"]


def test_a_snapshot_that_a_person_names_is_trained_on(run: Run, trained_on: list[str]) -> None:
    run({"snapshot_id": "ds-old"})
    assert trained_on == ["ds-old"]
