"""Much at once, and hands that interfere: one snapshot waits, no training is for nothing.

Sensors and assets run in this process, on the real catalog and MLflow; runs are rows of Dagster.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from tests.declared import model_of
from tests.defined import asset_of, sensor_of, step_of
from tests.integration.decided_rows import label_frames, snapshot_row
from tests.stacks import running_stack
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import now
from visionops_assets.catalog.schema import Release
from visionops_assets.definitions import definitions
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import Settings
from visionops_assets.stages.attempts import BUILD_DATASET, SUPERSEDED_TAG, TRAIN_AND_RELEASE

MANY = 60
WAITING, QUEUED = dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED
MEDIA = "process_media"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stack_of_backlog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("backlog")
    # Fewer than are new: the rows of snapshots say that they have some frames.
    few = {"snapshots": {"min_new_labels": MANY // 2}}
    with running_stack(home, {}, "--only", "mlflow", model=few) as settings:
        yield settings


@pytest.fixture(scope="module")
def snapshots(stack_of_backlog: Settings) -> list[str]:
    """Ids of two snapshots, the newest last."""
    with Catalog().begin() as session:
        rows = [snapshot_row(now(session) - timedelta(minutes=n)) for n in (2, 1)]
        session.add_all(rows)
        return [row.snapshot_id for row in rows]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def asked(sensor: str, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    resources = {"catalog": Catalog()}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return list(sensor_of(sensor).evaluate_tick(context).run_requests or [])


def is_there(
    instance: dg.DagsterInstance,
    job: str,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = WAITING,
) -> None:
    """Let there be a run as it was asked for."""
    create_run_for_test(instance, job_name=step_of(job), tags=dict(request.tags), status=status)


def test_labels_that_come_faster_than_snapshots(
    snapshots: list[str], instance: dg.DagsterInstance
) -> None:
    """Labels for five snapshots at once: one is pending, and none beside a training."""
    label_frames(MANY)
    (cut,) = asked("new_labels", instance)
    is_there(instance, BUILD_DATASET, cut)
    for _ in range(4):
        label_frames(MANY)
        assert asked("new_labels", instance) == []
    with dg.DagsterInstance.ephemeral() as training:
        (train,) = asked("new_snapshot", training)
        is_there(training, TRAIN_AND_RELEASE, train)
        assert asked("new_labels", training) == []


def test_a_training_whose_snapshot_is_old(
    snapshots: list[str], instance: dg.DagsterInstance
) -> None:
    """A training that waited until its snapshot was old: it ends at its start, and says so."""
    old, newest = snapshots
    resources = {
        "catalog": Catalog(),
        "object_store": ObjectStore(),
        "tracking": Tracking(),
        "records": dg.mem_io_manager,
    }
    config = {"snapshot_id": old, "only_if_newest": True}
    run = dg.materialize(
        [asset_of("trained_model")],
        instance=instance,
        run_config={"ops": {step_of("trained_model"): {"config": config}}},
        resources=resources,
    )
    assert run.success
    assert run.asset_materializations_for_node(step_of("trained_model")) == []
    kept = instance.get_run_by_id(run.run_id)
    assert kept is not None
    assert kept.tags[SUPERSEDED_TAG] == newest
    (said,) = [event for event in run.all_events if event.is_asset_observation]
    told = said.asset_observation_data.asset_observation.description or ""
    assert f"Nothing is trained on {old}" in told


def test_learning_that_is_queued_before_media() -> None:
    """Four of each work of a repair wait before media: media are processed beside it."""
    rules = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    # What a person materializes by hand has a job that Dagster makes.
    jobs = [job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")]
    # Engines are built on a cluster alone, which has room for more.
    jobs = [job for job in jobs if job.name != step_of("build_engines")]
    with instance_for_test({n: rules[n] for n in ("run_coordinator", "concurrency")}) as queue:
        for job in [job for job in jobs for _ in range(4) if job.name != MEDIA]:
            is_queued(queue, job)
        assert len(started(queue)) == 2
        (media,) = [job for job in jobs if job.name == MEDIA]
        for _ in range(3):
            is_queued(queue, media)
            assert started(queue) == [MEDIA]


def is_queued(queue: dg.DagsterInstance, job: dg.JobDefinition) -> None:
    location = RegisteredCodeLocationOrigin("visionops")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "repository"), job.name)
    create_run_for_test(
        queue, job_name=job.name, tags=job.tags, status=QUEUED, remote_job_origin=origin
    )


def started(queue: dg.DagsterInstance) -> list[str]:
    """Let Dagster start what it may, and let media be processed at once; name the jobs."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    chosen = daemon._get_runs_to_dequeue(queue, queue.get_concurrency_config(), None)
    for run in chosen:
        event = "SUCCESS" if run.job_name == MEDIA else "START"
        kind = dg.DagsterEventType[f"RUN_{event}"].value
        queue.report_dagster_event(dg.DagsterEvent(kind, run.job_name), run.run_id)
    return [run.job_name for run in chosen]


@pytest.mark.parametrize(
    ("job", "sensor"), [(BUILD_DATASET, "new_labels"), (TRAIN_AND_RELEASE, "new_snapshot")]
)
def test_a_run_that_a_person_cancelled(
    snapshots: list[str],
    instance: dg.DagsterInstance,
    job: str,
    sensor: str,
) -> None:
    """A run that a person cancelled is not asked for again, though its work is not done."""
    label_frames(MANY)
    (request,) = asked(sensor, instance)
    is_there(instance, job, request, dg.DagsterRunStatus.CANCELED)
    assert asked(sensor, instance) == []


def test_an_alias_that_somebody_moved(stack_of_backlog: Settings, snapshots: list[str]) -> None:
    """MLflow's alias moved to another version: it is brought back to the champion, and said."""
    model, tracking = model_of(stack_of_backlog).name, Tracking()
    run_id = tracking.create_run("attacks", "a training", {})
    first, second = (tracking.register(model, run_id, {}) for _ in range(2))
    with Catalog().begin() as session:
        session.add(
            Release(
                model_name=model,
                model_version=first,
                snapshot_id=snapshots[0],
                manifest_sha256="0" * 64,
            )
        )
    tracking.set_champion(model, second)
    resources = {"catalog": Catalog(), "tracking": tracking}
    with dg.build_sensor_context(resources=resources) as context:
        result = sensor_of("champion_alias")(context)
    assert isinstance(result, dg.SensorResult)
    assert f"named version {second}" in str(result.asset_events[0].description)
    assert tracking.champion_version(model) == first
