"""`visionops quarantine ls | show | retry`: media that cannot be used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from visionops_assets.cli.screen import AsJson, columns_of, print_fact, print_fields, print_rows
from visionops_assets.errors import NotFoundError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.catalog.schema import Media

FIRST_BYTES = 64
UNSHOWN = ("lease_expires_at", "attempt")
_COLUMNS = {
    name: name
    for name in ("media_id", "reason_code", "bytes", "source", "filename", "processed_at")
}

app = typer.Typer(help="Quarantine: media that cannot be used.", no_args_is_help=True)


@app.command("ls")
def list_quarantined(
    code: Annotated[
        str | None, typer.Option(help="Only files with this reason, e.g. corrupt.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the media in quarantine, oldest first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.quarantine import quarantined

    with Catalog().begin() as session:
        rows = [_described(media) for media in quarantined(session, code)]
    print_rows(rows, _COLUMNS, as_json, "Nothing is in quarantine.")


@app.command()
def show(
    media_id: Annotated[UUID, typer.Argument(help="See `visionops quarantine ls`.")],
    save: Annotated[
        Path | None, typer.Option(help="File to save the original as. Careful: it may be hostile.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about a file in quarantine."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.quarantine import get_quarantined
    from visionops_assets.resources.object_store import ObjectStore

    with Catalog().begin() as session:
        media = get_quarantined(session, media_id)
    try:
        head = ObjectStore().get_range(media.object_key, 0, FIRST_BYTES).hex(" ")
    except NotFoundError:
        if save:
            raise
        head = "none: the object is gone"
    if save:
        ObjectStore().download(media.object_key, save)
    saved = {"saved_as": str(save)} if save else {}
    print_fields(_described(media) | {"first_bytes": head} | saved, as_json)


@app.command()
def retry(
    media_ids: Annotated[
        list[UUID] | None, typer.Argument(help="Ids of the files. See `visionops quarantine ls`.")
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="All files with this reason, e.g. corrupt.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Process files in quarantine again, with today's code and limits."""
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
    said = f"Retrying {len(chosen)} file(s): they will be processed again."
    print_fact({"media_ids": chosen}, as_json, said)


def _described(media: "Media") -> dict[str, Any]:
    """Return everything that the catalog knows about a file."""
    return columns_of(media, UNSHOWN)
