"""`visionops preflight`: whether a cluster has what an overlay needs."""

from pathlib import Path
from typing import Annotated

import typer

from visionops_assets.cli.findings import show
from visionops_assets.cli.screen import AsJson


def preflight(
    overlay: Annotated[Path, typer.Argument(help="Folder of the overlay, as for `kubectl -k`.")],
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig. Default: the current one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check by kubectl whether a cluster has what an overlay needs. It changes nothing.

    Each line is ok, warn or bad. The exit code is 0 if nothing is bad, else 1.
    """
    from visionops_assets.cluster.kubectl import Kubectl, render
    from visionops_assets.cluster.needs import preflight as findings

    show(findings(render(overlay), Kubectl(context).see()), as_json, width=26)
