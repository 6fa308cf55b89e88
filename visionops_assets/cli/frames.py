"""`visionops frames rebuild`: frames of a changed spec, from stored media."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.models import find_model
from visionops_assets.settings import load_settings

TITLE = "Frames of a changed spec"
BEHIND_NEW_MEDIA = {"dagster/priority": "-10", "visionops/started_by": "visionops frames rebuild"}

app = typer.Typer(help="Frames: media as the network sees them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `rebuild` a command of its own beside those to come."""


@app.command()
def rebuild(
    since: Annotated[
        datetime | None,
        typer.Option(help="Only files stored at this time (UTC) or later."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model whose spec it is.", show_default="the default one"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make frames by a model's declared spec of files that have frames by others.

    A backfill of Dagster does it in the background, behind new media. Frames of before stay.
    """
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.processing import batches_without
    from visionops_assets.client.dagster import DagsterClient
    from visionops_assets.stages.attempts import MEDIA
    from visionops_assets.stages.partitions import media_batches

    settings = load_settings()
    declared = find_model(model)
    spec_id = declared.frames.spec_id
    with Catalog().begin() as session:
        batches = batches_without(session, spec_id, since and since.replace(tzinfo=UTC))
    fact = {"spec_id": spec_id, "media": sum(batches.values()), "batches": len(batches)}
    if not batches:
        print_fact(fact | {"url": None}, as_json, f"Every file has frames by {spec_id} already.")
        return
    with closing(DagsterClient(settings.dagster_url)) as dagster:
        url = dagster.backfill(
            "processed_frames",
            str(media_batches.name),
            list(batches),
            TITLE,
            BEHIND_NEW_MEDIA | MEDIA,
        )
    started = "Making frames of {media} file(s) in {batches} batch(es) by {spec_id}: "
    print_fact(fact | {"url": url}, as_json, started.format_map(fact) + url)
