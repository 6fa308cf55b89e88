"""`visionops media show | duplicates`: one media file, and those that are near copies of others."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from visionops_assets.cli.quarantine import UNSHOWN
from visionops_assets.cli.screen import AsJson, columns_of, print_fields, print_rows
from visionops_assets.models import default_model

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import Frame, Processing, Spec

PROGRESS_EVERY_S = 5.0
_COLUMNS = {
    "copy": "media_id",
    "file": "filename",
    "source": "source",
    "of": "copy_of",
    "its file": "copy_of_filename",
    "its source": "copy_of_source",
    "bits": "distance",
    "similarity": "similarity",
}

app = typer.Typer(help="Media: the files that came in.", no_args_is_help=True)


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


@app.command()
def duplicates(
    source: Annotated[
        str | None, typer.Option(help="Only files of this source, among each other.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only copies stored at this time (UTC) or later, of any older file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the files that are near copies of older ones: coded anew, cropped, brightened.

    One line per copy, with the older file that is most like it. In JSON its `group` is the oldest
    file of all that are linked. Nothing is changed.
    """
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.stages.copies import find_copies

    found = find_copies(
        Catalog(),
        ObjectStore(),
        default_model().frames.spec_id,
        source=source,
        since=since and since.replace(tzinfo=UTC),
        progress=_Progress(),
    )
    print_rows(found.copies, _COLUMNS, as_json, f"No near copies among {found.compared} file(s).")
    if found.without_frames:
        typer.echo(
            f"visionops: {found.without_frames} file(s) were not compared: they have no frames by "
            "the declared spec. Make them: visionops frames rebuild.",
            err=True,
        )
    if found.unread:
        typer.echo(
            f"visionops: {found.unread} frame(s) in damaged shards were not compared.", err=True
        )


class _Progress:
    """Says on standard error how far long work has come, every few seconds."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + PROGRESS_EVERY_S

    def __call__(self, doing: str, done: int, of: int) -> None:
        if time.monotonic() >= self._next_s:
            typer.echo(f"{doing} {done:,} of {of:,} frames.", err=True)
            self._next_s = time.monotonic() + PROGRESS_EVERY_S
