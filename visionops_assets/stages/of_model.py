"""Keys, inputs, selections and jobs of the assets that each model has of its own."""

import dagster as dg

# Dagster has no public name for the type of a job that is made of assets.
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,
)

from visionops_assets.models import ModelDeclaration
from visionops_assets.models.naming import asset_name, dagster_name

__all__ = ["AssetJob", "input_of", "key_of", "name_of", "selection_of"]


def key_of(model: ModelDeclaration, asset: str) -> dg.AssetKey:
    """Return the key of a model's asset."""
    return dg.AssetKey.from_user_string(asset_name(model.name, asset))


def name_of(model: ModelDeclaration, name: str) -> str:
    """Return the name of a model's step, job or sensor."""
    return dagster_name(model.name, name)


def input_of(model: ModelDeclaration, asset: str) -> dict[str, dg.AssetIn]:
    """Return the input by which a model's asset loads another one of it, named like that one."""
    return {asset: dg.AssetIn(key=key_of(model, asset))}


def selection_of(model: ModelDeclaration, *assets: str) -> dg.AssetSelection:
    """Select assets of a model."""
    return dg.AssetSelection.assets(*(key_of(model, asset) for asset in assets))
