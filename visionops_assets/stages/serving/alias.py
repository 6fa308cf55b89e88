"""The sensor that keeps MLflow's alias at the catalog's champion: the catalog alone decides."""

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.errors import NotFoundError
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.sentences import skip_without_servers
from visionops_assets.resources.tracking import CHAMPION_ALIAS, Tracking
from visionops_assets.stages.of_model import key_of, name_of, selection_of


def champion_alias_of(model: ModelDeclaration) -> dg.SensorDefinition:
    """Define the sensor that watches a model's alias."""

    @dg.sensor(
        name=name_of(model, "champion_alias"),
        description="Brings the alias `champion` of MLflow back to the version that serves, when "
        "it was moved by hand, or a release did not get to move it. Starts no runs.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=selection_of(model, "model_release"),
    )
    @skip_without_servers
    def champion_alias(
        context: dg.SensorEvaluationContext,
        catalog: dg.ResourceParam[Catalog],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.SensorResult:
        """Compare MLflow's alias with the catalog; say what was found, and what was put right.

        A sensor, and no duty of the releaser, which must not wait for an MLflow that hangs.
        """
        return _put_right(context, model, catalog, tracking)

    return champion_alias


def _put_right(
    context: dg.SensorEvaluationContext,
    model: ModelDeclaration,
    catalog: Catalog,
    tracking: Tracking,
) -> dg.SensorResult:
    model_name = model.name
    try:
        # First the alias: a release between the two questions is then told of, and not undone.
        named = tracking.champion_version(model_name)
        with catalog.begin() as session:
            current = champion(session, model_name)
        if current is None or current.model_version == named:
            return dg.SensorResult(skip_reason=_as_it_should_be(model_name, named))
        tracking.set_champion(model_name, current.model_version)
    except NotFoundError as error:
        return dg.SensorResult(skip_reason=str(error))
    said = (
        f"The alias {CHAMPION_ALIAS!r} of {model_name!r} in MLflow named "
        f"{f'version {named}' if named else 'no version'}. It names version "
        f"{current.model_version} again, which serves: MLflow follows the catalog. To change what "
        "serves, use `visionops releases`."
    )
    context.log.warning("%s", said)
    seen = dg.AssetObservation(key_of(model, "model_release"), description=said)
    return dg.SensorResult(asset_events=[seen], skip_reason=said)


def _as_it_should_be(model_name: str, named: int | None) -> str:
    if named is None:
        return f"No version of {model_name!r} was released yet."
    return f"MLflow's alias names version {named}, as it should."
