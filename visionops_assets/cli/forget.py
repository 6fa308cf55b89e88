"""`visionops forget media ID | --source S`: erase media, and all that was made of them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from visionops_assets.cli.screen import AsJson, console, print_fact
from visionops_assets.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from visionops_assets.lineage.forgetting import Forgetting, Report


def forget(
    kind: Annotated[
        str | None, typer.Argument(help="`media`.", metavar="KIND", show_default=False)
    ] = None,
    id_: Annotated[
        str | None, typer.Argument(help="Id of the file.", metavar="ID", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="All media of this source.", show_default=False)
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            help="With --source: only those that were captured before this time (UTC).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what was asked for before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase media for good: files, frames, kept images, annotations. The content never comes back.

    Killed anywhere, `visionops forget --resume` goes on. A restore of a backup forgets again.
    """
    asked = sum((kind is not None, source is not None, resume))
    if asked != 1 or (before is not None and source is None):
        raise InvalidRequestError(
            "Say one: `visionops forget media ID`, `--source NAME [--before TIME]`, or `--resume`."
        )
    forgetting = _forgetting()
    if resume:
        _print(forgetting.resume(), as_json)
        return
    ids = _chosen(kind, id_) if source is None else _of_source(source, before)
    found = forgetting.forget(ids, dry_run=True)
    if not dry_run and not yes:
        media, frames = found.found.media, found.found.frames
        typer.confirm(
            f"Erase {media:,} media files with {frames:,} frames for good?", abort=True, err=True
        )
    _print(found if dry_run else forgetting.forget(ids), as_json)


def forget_again() -> list[str]:
    """Forget what a restored catalog knows again; return it in words, nothing if it knows none."""
    found = _forgetting().resume().found
    return [f"Forgot {found.media:,} media files again."] if found.media else []


def _chosen(kind: str | None, id_: str | None) -> list[UUID]:
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.media import get_acknowledged

    if kind != "media" or id_ is None:
        raise InvalidRequestError("Say whom to forget: `visionops forget media ID`.")
    try:
        media_id = UUID(id_)
    except ValueError:
        raise InvalidRequestError(f"{id_!r} is not the id of a media file.") from None
    with Catalog().begin() as session:
        get_acknowledged(session, media_id, None)
    return [media_id]


def _of_source(source: str, before: datetime | None) -> list[UUID]:
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.forgetting import media_of_source

    until = before.replace(tzinfo=before.tzinfo or UTC) if before else None
    with Catalog().begin() as session:
        ids = media_of_source(session, source, until)
    if not ids:
        raise NotFoundError(f"There is no media file of source {source!r} to forget.")
    return ids


def _forgetting() -> "Forgetting":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.lineage.forgetting import Forgetting
    from visionops_assets.resources.erasing import Eraser
    from visionops_assets.resources.object_store import ObjectStore

    return Forgetting(Catalog(), ObjectStore(), Eraser().erase, console.print)


def _print(report: "Report", as_json: bool) -> None:
    found = report.found
    did = "Would erase" if report.dry_run else "Erased"
    lines = [
        f"{did} {found.media:,} media files ({found.bytes / 1e6:,.1f} MB), {found.frames:,} frames "
        f"in {found.shards:,} shards, {found.annotations:,} annotations and {found.kept_images:,} "
        "kept images of predictions.",
        f"Snapshots that had them: {', '.join(found.snapshots) or 'none'}.",
        f"Versions that learned from them: {', '.join(found.versions) or 'none'}.",
        *(f"Stays: {said}" for said in report.stays),
    ]
    print_fact(report.facts(), as_json, *lines)
