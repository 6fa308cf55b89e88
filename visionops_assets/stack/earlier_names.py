"""Carries over what Dagster knows under the names that a model's assets and sensors had before.

Until models were declared, an installation had one, and names without it: `labels`, `new_labels`.
Of that model Dagster goes on where it was: a sensor that was switched off stays off, and an asset
has its newest materialization, by which others find its files.
"""

import dagster as dg
from dagster._core.remote_origin import RemoteInstigatorOrigin

from visionops_assets.models.naming import asset_name, dagster_name

SENSORS = ("new_labels", "new_snapshot", "champion_alias", "missing_engines")
ASSETS = (
    "labels",
    "dataset_snapshot",
    "trained_model",
    "model_evaluation",
    "exported_model",
    "engine",
    "model_release",
    "model_performance",
    "data_drift",
    "retrain_decision",
)
DATA_VERSION = "dagster/data_version"


def carry_over(instance: dg.DagsterInstance, model_name: str) -> int:
    """Carry over what is known under earlier names, once, to the model that had them.

    Returns:
        The number of sensors and assets that were carried over.
    """
    return _carry_sensors(instance, model_name) + _carry_assets(instance, model_name)


def _carry_sensors(instance: dg.DagsterInstance, model_name: str) -> int:
    states = list(instance.all_instigator_state())
    known = {state.selector_id for state in states}
    carried = 0
    for state in states:
        if state.instigator_name not in SENSORS:
            continue
        origin = RemoteInstigatorOrigin(
            repository_origin=state.origin.repository_origin,
            instigator_name=dagster_name(model_name, state.instigator_name),
        )
        renamed = state._replace(origin=origin)
        if renamed.selector_id not in known:
            instance.add_instigator_state(renamed)
            known.add(renamed.selector_id)
            carried += 1
    return carried


def _carry_assets(instance: dg.DagsterInstance, model_name: str) -> int:
    carried = 0
    for asset in ASSETS:
        key = dg.AssetKey.from_user_string(asset_name(model_name, asset))
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        if event is None or instance.get_latest_materialization_event(key) is not None:
            continue
        earlier = event.asset_materialization
        if earlier is None:
            continue
        version = (earlier.tags or {}).get(DATA_VERSION)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                key,
                description=f"As {asset}, its name until models were declared.",
                metadata=earlier.metadata,
                tags={DATA_VERSION: version} if version else None,
            )
        )
        carried += 1
    return carried
