"""Dagster goes on where it was, though assets and sensors have the name of their model now."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
)

from visionops_assets.definitions import definitions
from visionops_assets.stack.earlier_names import ASSETS, DATA_VERSION, SENSORS, carry_over

REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("visionops"), "__repository__")
OLD, NEW = dg.AssetKey("labels"), dg.AssetKey(["signs-a", "labels"])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def sensor(name: str, status: InstigatorStatus, cursor: str) -> InstigatorState:
    return InstigatorState(
        RemoteInstigatorOrigin(repository_origin=REPOSITORY, instigator_name=name),
        InstigatorType.SENSOR,
        status,
        SensorInstigatorData(cursor=cursor),
    )


def states_of(instance: dg.DagsterInstance) -> dict[str, tuple[InstigatorStatus, str | None]]:
    return {
        state.instigator_name: (state.status, data.cursor)
        for state in instance.all_instigator_state()
        if (data := state.sensor_instigator_data)
    }


def test_a_sensor_that_was_switched_off_stays_off(instance: dg.DagsterInstance) -> None:
    instance.add_instigator_state(sensor("new_snapshot", InstigatorStatus.STOPPED, "7"))
    instance.add_instigator_state(sensor("media_events", InstigatorStatus.RUNNING, "{}"))
    assert carry_over(instance, "signs-a") == 1
    assert states_of(instance) == {
        "new_snapshot": (InstigatorStatus.STOPPED, "7"),
        "signs_a__new_snapshot": (InstigatorStatus.STOPPED, "7"),
        "media_events": (InstigatorStatus.RUNNING, "{}"),
    }


def test_what_was_switched_on_since_is_not_switched_off_again(
    instance: dg.DagsterInstance,
) -> None:
    instance.add_instigator_state(sensor("new_snapshot", InstigatorStatus.STOPPED, "7"))
    carry_over(instance, "signs-a")
    now = sensor("signs_a__new_snapshot", InstigatorStatus.RUNNING, "9")
    instance.update_instigator_state(now)
    assert carry_over(instance, "signs-a") == 0
    assert states_of(instance)["signs_a__new_snapshot"] == (InstigatorStatus.RUNNING, "9")


def test_an_asset_has_its_newest_materialization_once(instance: dg.DagsterInstance) -> None:
    for uri in ("s3://b/1.parquet", "s3://b/2.parquet"):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(OLD, metadata={"uri": uri}, tags={DATA_VERSION: uri})
        )
    assert [carry_over(instance, "signs-a") for _ in range(2)] == [1, 0]
    event = instance.get_latest_materialization_event(NEW)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["uri"].value == "s3://b/2.parquet"
    assert event.asset_materialization.tags == {DATA_VERSION: "s3://b/2.parquet"}
    assert len(instance.fetch_materializations(NEW, limit=9).records) == 1


def test_every_name_is_one_of_today_with_a_model() -> None:
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {f"classifier/{asset}" for asset in ASSETS} <= {key for key in keys if "/" in key}
    sensors = {each.name for each in definitions.sensors or []}
    assert {f"classifier__{name}" for name in SENSORS} <= {name for name in sensors if "__" in name}
