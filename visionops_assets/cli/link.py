"""`visionops link`: a way into the gateway's page without a key."""

from typing import Annotated

import typer

from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.settings import load_settings


def link(
    at: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="How the browser reaches the gateway, if not by its own address."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a link to the gateway's page that signs one browser in.

    It works once, within 15 minutes. Whoever has it may predict and label for 12 hours.
    """
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.sign_in import create_link

    with Catalog().begin() as session:
        url = create_link(session, at or load_settings().gateway_url).get_secret_value()
    if not as_json:
        typer.echo("Open this in a browser within 15 minutes. It signs one browser in.", err=True)
    print_fact({"url": url}, as_json, url)
