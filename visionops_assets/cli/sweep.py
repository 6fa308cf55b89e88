"""`visionops sweep`: one pass of the sweep, now."""

from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.settings import load_settings


def sweep(as_json: AsJson = False) -> None:
    """Finish or remove the remains of crashes once, and count them."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.services.sweep import Sweep

    done, failures = Sweep(load_settings(), Catalog(), ObjectStore()).run_once()
    lines = (f"{count:8}  {task.replace('_', ' ')}" for task, count in done.items())
    print_fact(done, as_json, *lines)
    if failures:
        raise failures[0]
