"""What Dagster is given for the default model, or for another one, found by its short name."""

import dagster as dg

from visionops_assets.models import ModelDeclaration, default_model
from visionops_assets.models.naming import asset_of as asset_of_step
from visionops_assets.models.naming import dagster_name
from visionops_assets.stages.model_stages import definitions_of


def asset_of(name: str, model: ModelDeclaration | None = None) -> dg.AssetsDefinition:
    """Return an asset of a model, by its name without the model."""
    found = definitions_of(model or default_model()).assets or []
    (asset,) = (a for a in found if isinstance(a, dg.AssetsDefinition) and a.key.path[-1] == name)
    return asset


def sensor_of(name: str, model: ModelDeclaration | None = None) -> dg.SensorDefinition:
    """Return a sensor of a model, by its name without the model."""
    found = definitions_of(model or default_model()).sensors or []
    (sensor,) = (s for s in found if asset_of_step(s.name) == name)
    assert isinstance(sensor, dg.SensorDefinition)
    return sensor


def check_of(name: str, model: ModelDeclaration | None = None) -> dg.AssetChecksDefinition:
    """Return a check of a model's asset."""
    found = definitions_of(model or default_model()).asset_checks or []
    (check,) = (
        c
        for c in found
        if isinstance(c, dg.AssetChecksDefinition) and next(iter(c.check_keys)).name == name
    )
    return check


def step_of(name: str) -> str:
    """Return the name of a step, job or sensor of the default model."""
    return dagster_name(default_model().name, name)
