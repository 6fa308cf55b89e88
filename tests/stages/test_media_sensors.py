"""Which batches are asked for again, and which leave Dagster's partitions."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from visionops_assets.settings import load_settings
from visionops_assets.stages.media import sensors
from visionops_assets.stages.partitions import media_batches

KEYS = [f"media-0-{n}-{n + 1}" for n in range(9, 0, -1)]
"""In the order in which they were made, which is not that of their names."""


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("VISIONOPS_BATCHES_KEPT", "4")
    load_settings.cache_clear()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(media_batches.name), KEYS)
        yield instance
    load_settings.cache_clear()


def finish(instance: dg.DagsterInstance, *keys: str) -> None:
    for key in keys:
        frames = dg.AssetMaterialization("processed_frames", partition=key)
        instance.report_runless_asset_event(frames)


def fail(instance: dg.DagsterInstance, key: str) -> None:
    instance.create_run_for_job(
        dg.Definitions(jobs=[job]).resolve_job_def("failed"),
        tags={sensors.PARTITION_TAG: key},
        status=dg.DagsterRunStatus.FAILURE,
    )


def tick(instance: dg.DagsterInstance) -> tuple[list[str], list[str]]:
    """Evaluate the sensor: the batches that it asks for, and those that it lets go."""
    result: Any = sensors.unfinished_batches(dg.build_sensor_context(instance))
    asked_for = [request.partition_key for request in result.run_requests]
    retired = [
        key for request in result.dynamic_partitions_requests for key in request.partition_keys
    ]
    return asked_for, retired


def test_old_batches_leave_dagster_once_they_are_finished(instance: dg.DagsterInstance) -> None:
    finish(instance, *KEYS[:3], KEYS[4], *KEYS[6:])
    assert tick(instance)[1] == [*KEYS[:3], KEYS[4]]


def test_few_batches_all_stay(instance: dg.DagsterInstance) -> None:
    finish(instance, *KEYS)
    for key in KEYS[:5]:
        instance.delete_dynamic_partition(str(media_batches.name), key)
    assert tick(instance)[1] == []


def test_no_tick_retires_more_than_it_can(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "MAX_RETIRED_PER_TICK", 2)
    finish(instance, *KEYS)
    assert tick(instance)[1] == KEYS[:2]


def test_what_has_no_frames_is_asked_for_again_and_again_stays(
    instance: dg.DagsterInstance,
) -> None:
    fail(instance, KEYS[0])
    finish(instance, *KEYS[1:])
    asked_for, retired = tick(instance)
    assert asked_for == [KEYS[0]]
    assert retired == KEYS[1:5]


def test_no_batch_leaves_while_frames_are_made_anew(instance: dg.DagsterInstance) -> None:
    """A backfill asks for the runs of its partitions one after the other."""
    finish(instance, *KEYS)
    backfill = PartitionBackfill(
        "b1",
        BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[dg.AssetKey("processed_frames")],
    )
    instance.add_backfill(backfill)
    assert tick(instance)[1] == []
    done = backfill._replace(status=BulkActionStatus.COMPLETED_SUCCESS)
    instance.update_backfill(done)
    assert tick(instance)[1] == KEYS[:5]


@dg.job(name="failed")
def job() -> None:
    """Make runs of it that have failed."""


def test_a_partition_of_a_made_up_name_is_not_asked_for_again(
    instance: dg.DagsterInstance,
) -> None:
    for key in ("nonsense", "predictions-0-1-2", "media-0-2-2", KEYS[0]):
        instance.add_dynamic_partitions(str(media_batches.name), [key])
        fail(instance, key)
    assert tick(instance)[0] == [KEYS[0]]
