"""dagster-mlflow in a run of ours: none of the faults of its own run handling."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.structure.test_rooms import MODULES, imported_names
from visionops_assets.contracts.tensors import IMAGE, TensorSpec
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.training_run import TrainingRun, training_run
from visionops_assets.settings import load_settings

# Of MLflow's store on the SQLAlchemy that there is; of dagster-mlflow's, none is let pass.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
EXPERIMENT = "digits"
NAME = "digits ds-1 run 1a2b3c4d"
STEP = """
import dagster as dg
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.training_run import training_run

@dg.asset
def model(context: dg.AssetExecutionContext) -> None:
    with training_run(Tracking(), context, "digits", "a training", {}):
        raise ValueError

failed = dg.materialize([model], raise_on_error=False).get_step_failure_events()
assert "ValueError" in str(failed)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty tracking store; to make one takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        # Artifacts go below the folder in which the store is made.
        patch.chdir(folder)
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder


@pytest.fixture(autouse=True)
def tracking_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(store)
    monkeypatch.setenv("VISIONOPS_HOME", str(store))
    monkeypatch.setenv("VISIONOPS_MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
    assert mlflow.active_run() is None


def runs() -> list[Run]:
    """Return every run of the experiment, the newest first."""
    client = MlflowClient(load_settings().mlflow_tracking_uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def train(context: dg.AssetExecutionContext, error: BaseException | None = None) -> None:
    with training_run(Tracking(), context, EXPERIMENT, NAME, {"seed": "7"}) as run:
        log_something(run)
        if error is not None:
            raise error


def log_something(run: TrainingRun) -> None:
    run.log_params({f"parameter_{n}": n for n in range(150)})
    run.log_metrics({"loss": 0.5}, step=3)
    run.tag({"sha256/model.json": "0"})
    run.log_dataset("digits frames", "ds-1", "s3://bucket/snapshots/ds-1", {"train_frames": 9})
    run.log_interface([IMAGE], [TensorSpec("PROBABILITIES", "FP32", (10,))], Path.cwd())


class Ended(BaseException):
    """Ends a step from outside, as Dagster does."""


@dg.asset
def first() -> None: ...


@dg.asset
def model(context: dg.AssetExecutionContext) -> None:
    train(context)


@dg.asset(deps=[model, first])
def last() -> None: ...


def test_a_run_holds_what_was_logged_under_its_own_name() -> None:
    assert dg.materialize([model]).success
    run: Any = runs()[0]
    # dagster-mlflow would name it after the job.
    assert run.info.run_name == NAME
    assert run.data.params["parameter_149"] == "149"
    assert run.data.metrics == {"loss": 0.5}
    assert run.data.tags["seed"] == "7"
    assert Tracking().run_tags(run.info.run_id)["sha256/model.json"] == "0"
    [used] = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("digits frames", "ds-1")
    assert "s3://bucket/snapshots/ds-1" in used.dataset.source
    signature = mlflow.models.Model.load(f"{run.info.artifact_uri}/model/MLmodel").signature
    assert signature.outputs.inputs[0].shape == (-1, 10)


def test_a_materialization_from_the_ui_leaves_no_run_running() -> None:
    """It has no hook of a job; dagster-mlflow ends a run by one alone."""
    before = len(runs())
    assert dg.materialize([model], selection=[model]).success
    assert [run.info.status for run in runs()] == ["FINISHED"] * (before + 1)


def test_a_job_with_parallel_first_assets_makes_one_run() -> None:
    """dagster-mlflow makes one for each asset that has it and begins before there is one."""
    before = len(runs())
    assert dg.materialize([first, model, last]).success
    assert len(runs()) == before + 1


def test_training_alone_uses_it() -> None:
    users = {
        module
        for module, tree in MODULES.items()
        if any(name.startswith("resources.training_run") for name in imported_names(tree))
    }
    assert users <= {"stages.training." + part for part in ("assets", "fitting", "description")}


def test_the_end_of_its_process_changes_no_run() -> None:
    """MLflow ends an open run as FINISHED at the exit; dagster-mlflow means to keep it from that.

    Its warnings that it is a beta are errors here, as they are to our tests.
    """
    command = [sys.executable, "-W", "error::dagster.BetaWarning", "-c", STEP]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert runs()[0].info.status == "FAILED"


@pytest.mark.parametrize(("error", "status"), [(ValueError(), "FAILED"), (Ended(), "KILLED")])
def test_an_error_ends_the_run(error: BaseException, status: str) -> None:
    @dg.asset
    def wrong(context: dg.AssetExecutionContext) -> None:
        train(context, error)

    with pytest.raises(type(error)):
        dg.materialize([wrong])
    assert runs()[0].info.status == status


def test_a_run_whose_process_was_killed_is_ended_by_the_next_attempt() -> None:
    tracking = Tracking()
    lost = tracking.create_run(EXPERIMENT, "killed", {"root": "a"})
    others = tracking.create_run(EXPERIMENT, "under way", {"root": "b"})
    assert tracking.end_lost_runs(EXPERIMENT, {"root": "a"}) == 1
    status = {run.info.run_id: run.info.status for run in runs()}
    assert (status[lost], status[others]) == ("KILLED", "RUNNING")
    tracking.end_run(others, "FINISHED")
