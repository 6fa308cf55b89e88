"""What keeps Triton at the champion: it starts with no model loaded, also after a crash."""

import dagster as dg

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import load_settings
from visionops_assets.stages.serving.release import Releaser


@dg.sensor(minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING)
def serving_convergence(
    context: dg.SensorEvaluationContext,
    catalog: Catalog,
    object_store: ObjectStore,
    triton: TritonServer,
) -> dg.SkipReason:
    """Loads the champion if Triton does not serve it. Starts no runs."""
    settings = load_settings()
    releaser = Releaser(catalog, object_store, triton, settings.project_root / "triton_models")
    try:
        return dg.SkipReason(releaser.converge(settings.model_name))
    except ServerUnreachableError as error:
        context.log.warning("%s", error)
        return dg.SkipReason(str(error))
