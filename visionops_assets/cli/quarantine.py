"""`visionops quarantine ls | show | retry`: media that could not be used."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from visionops_assets.cli.screen import console, printable
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import Media

FIRST_BYTES = 64
UNSHOWN = ("lease_expires_at", "attempt")

app = typer.Typer(help="Media that could not be used: list, look, try again.", no_args_is_help=True)


@app.command("ls")
def list_quarantined(
    code: Annotated[str | None, typer.Option(help="Only this reason, e.g. corrupt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List the media in quarantine, oldest first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.quarantine import quarantined

    with Catalog().begin() as session:
        rows = [_described(media) for media in quarantined(session, code)]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    if not rows:
        console.print("Nothing is in quarantine.")
        return
    columns = ("media_id", "reason_code", "bytes", "source", "filename", "processed_at")
    table = Table(*columns)
    for row in rows:
        table.add_row(*(printable(row[column]) for column in columns))
    console.print(table)


@app.command()
def show(
    media_id: UUID,
    save: Annotated[
        Path | None, typer.Option(help="Write the original here. Mind that it may be hostile.")
    ] = None,
) -> None:
    """Show all that is known of a file in quarantine."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.quarantine import get_quarantined
    from visionops_assets.resources.object_store import ObjectStore

    with Catalog().begin() as session:
        media = get_quarantined(session, media_id)
    for name, value in _described(media).items():
        console.print(f"{name:16} {printable(value)}", soft_wrap=True)
    head = ObjectStore().get_range(media.object_key, 0, FIRST_BYTES)
    console.print(f"{'first bytes':16} {head.hex(' ')}", soft_wrap=True)
    if save:
        ObjectStore().download(media.object_key, save)
        console.print(f"Saved {media.bytes:,} bytes.")


@app.command()
def retry(
    media_ids: Annotated[list[UUID] | None, typer.Argument(help="Which files.")] = None,
    code: Annotated[str | None, typer.Option(help="All with this reason, e.g. corrupt.")] = None,
) -> None:
    """Process files in quarantine again, by today's code and limits: all of them, or none."""
    from visionops_assets.catalog import quarantine
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.errors import InvalidRequestError, NotFoundError

    if bool(media_ids) == (code is not None):
        raise InvalidRequestError("Name files by their media ids, or a reason by --code.")
    topic = load_settings().kafka_media_topic
    with Catalog().begin() as session:
        chosen = list(dict.fromkeys(media_ids or ()))
        if code is not None:
            chosen = [media.media_id for media in quarantine.quarantined(session, code)]
        if not chosen:
            raise NotFoundError(f"Nothing is in quarantine with the reason {code!r}.")
        for media_id in chosen:
            quarantine.retry(session, topic, media_id)
    console.print(f"Retrying {len(chosen)} file(s): they will be processed again.")


def _described(media: "Media") -> dict[str, Any]:
    """Everything the catalog knows of a file, as plain JSON values."""
    names = [column.name for column in media.__table__.columns if column.name not in UNSHOWN]
    values = {name: getattr(media, name) for name in names}
    return {
        name: value if isinstance(value, bool | int | None) else str(value)
        for name, value in values.items()
    }
