"""`visionops media show`: everything about one media file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from visionops_assets.cli.quarantine import UNSHOWN
from visionops_assets.cli.screen import AsJson, columns_of, print_fields

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import Frame, Processing, Spec

app = typer.Typer(help="Media: the files that came in.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own beside those to come."""


@app.command()
def show(
    media_id: Annotated[UUID, typer.Argument(help="As the ingest API gave it.")],
    thumbnail: Annotated[Path | None, typer.Option(help="File to save the first frame as.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a file's status and path, and how it was processed: spec, time, decoder, frames."""
    from visionops_assets.catalog import media
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.processing import processings_of
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.services.ingest.state_routes import first_frame

    with Catalog().begin() as session:
        row = media.get_acknowledged(session, media_id, None)
        fact = columns_of(row, UNSHOWN) | {"label": media.newest_label(session, media_id)}
        frames = media.frames_of(session, media_id)
        processed = [
            _described(processing, spec, [f for f in frames if f.spec_id == processing.spec_id])
            for processing, spec in processings_of(session, media_id)
        ]
        if thumbnail:
            thumbnail.write_bytes(first_frame(session, ObjectStore(), media_id))
            fact["thumbnail"] = str(thumbnail)
    if as_json:
        print_fields(fact | {"processing": processed}, as_json)
        return
    print_fields(fact, as_json)
    for each in processed:
        typer.echo("\nProcessed by a spec")
        print_fields(each | {"parameters": json.dumps(each["parameters"])}, as_json)


def _described(
    processing: "Processing", spec: "Spec | None", frames: "list[Frame]"
) -> dict[str, Any]:
    return columns_of(processing, {"media_id", "batch_key"}) | {
        "parameters": spec.parameters if spec else None,
        "shards": sorted({frame.shard_key for frame in frames}),
    }
