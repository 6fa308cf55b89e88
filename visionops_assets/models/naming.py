"""Names in Dagster of what each model has of its own: its assets, their steps, jobs and sensors."""

SEPARATOR = "__"
"""Dagster joins the parts of an asset's key by it, to name the step that makes the asset."""


def identifier_of(model_name: str) -> str:
    """Return a model's name as Dagster has it in the names of steps, jobs and sensors."""
    return model_name.replace("-", "_")


def asset_name(model_name: str, asset: str) -> str:
    """Return the name of a model's asset, as Dagster shows it: `classifier/labels`."""
    return f"{model_name}/{asset}"


def dagster_name(model_name: str, name: str) -> str:
    """Return the name of a model's step, job or sensor: `classifier__labels`."""
    return f"{identifier_of(model_name)}{SEPARATOR}{name}"


def asset_of(step: str) -> str:
    """Return the asset that a step makes, without its model: `labels` of `classifier__labels`."""
    return step.rpartition(SEPARATOR)[2]
