"""`visionops doctor`: checks of this machine and its servers, with advice."""

from visionops_assets.cli.findings import show
from visionops_assets.cli.screen import AsJson
from visionops_assets.settings import settings_home


def doctor(as_json: AsJson = False) -> None:
    """Check this machine and its servers, and say how to repair them.

    Each line is ok, warn or bad. The exit code is 0 if nothing is bad, else 1.
    """
    from visionops_assets.stack.examination import examine

    show(examine(settings_home()), as_json, width=17)
