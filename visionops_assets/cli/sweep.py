"""`visionops sweep`: one pass of the sweep, now."""

from visionops_assets.cli.screen import console
from visionops_assets.settings import load_settings


def sweep() -> None:
    """Clear away what crashes left behind, once, and say what was done."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.services.sweep import Sweep

    done, failures = Sweep(load_settings(), Catalog(), ObjectStore()).run_once()
    for task, count in done.items():
        console.print(f"{count:8}  {task.replace('_', ' ')}")
    if failures:
        raise failures[0]
