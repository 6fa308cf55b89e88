"""`visionops datasets`: the snapshots of a model, their members, and how two of them differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visionops_assets.cli.screen import (
    AsJson,
    Columns,
    columns_of,
    console,
    print_fact,
    print_json,
    print_rows,
    table,
)
from visionops_assets.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from visionops_assets.catalog.schema import Snapshot
    from visionops_assets.resources.snapshot_diff import Difference

DRAWN = 9
"""Frames of each kind in a montage: a row of them."""
_ROWS: Columns = {
    "snapshot": "snapshot_id",
    "labels until": "watermark",
    "train": "train_frames",
    "holdout": "holdout_frames",
    "left out": "left_out_frames",
    "classes": lambda fact: len(fact["classes"]),
    "spec": "spec_id",
}
_BY_LABEL: Columns = {name: name for name in ("label", "train", "holdout", "media", "groups")}
_CHANGES: Columns = {
    "change": "change",
    "frame": "frame_id",
    "file": "media_id",
    "label": lambda fact: _changed(fact, "label"),
    "side": lambda fact: _changed(fact, "split"),
}
SnapshotId = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Id of a snapshot.")]

app = typer.Typer(
    help="Dataset snapshots: the frames that models learn from.", no_args_is_help=True
)


@app.callback()
def _of_datasets() -> None:
    """List snapshots, show one, and compare two."""


@app.command()
def ls(
    model: Annotated[
        str | None,
        typer.Option(help="Name of the model; else the default one.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the snapshots of a model, the newest first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.datasets import snapshots_newest_first
    from visionops_assets.models import find_model

    declared = find_model(model or None)
    with Catalog().begin() as session:
        found = snapshots_newest_first(session, declared.name)
        rows = [columns_of(each, {"spec", "place"}) for each in found]
    nothing = f"{declared.name} has no snapshot yet: one is cut when enough is labelled."
    print_rows(rows, _ROWS, as_json, nothing)


@app.command()
def show(snapshot: SnapshotId, as_json: AsJson = False) -> None:
    """Show a snapshot: its members per label and side, their files and groups."""
    from visionops_assets.resources.snapshot_diff import summary

    row, members = _read(snapshot)
    by_label = summary(members)
    fact = columns_of(row, {"place"}) | {"media": int(members["media_id"].nunique())}
    fact |= {"groups": int(members["group_id"].nunique()), "by_label": by_label}
    said = (
        "{snapshot_id} of {model_name}: {train_frames:,} frames for training and "
        "{holdout_frames:,} in the holdout, of {media:,} files in {groups:,} groups."
    )
    print_fact(fact, as_json, said.format_map(fact))
    if not as_json:
        console.print(table(by_label, _BY_LABEL))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="Id of the earlier snapshot.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Id of the later snapshot.")],
    montage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw some of the frames into this PNG.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Frames listed per kind.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say what came, what went, and what changed its label or its side from A to B."""
    from visionops_assets.resources.snapshot_diff import compare

    if montage is not None and not montage.parent.is_dir():
        raise InvalidRequestError(f"{montage.parent} is no folder: name another file.")
    (row_before, members_before), (row_after, members_after) = _read(before), _read(after)
    found = compare(members_before, members_after)
    drawn = 0 if montage is None else _draw(montage, found, row_before, row_after)
    fact = {"before": before, "after": after, **found.counts, "drawn": drawn}
    listed = found.samples(limit)
    if as_json:
        print_json(fact | {"frames": listed})
        return
    said = (
        "From {before} to {after}: {came:,} frames came, {went:,} went, {relabelled:,} have "
        "another label, {moved:,} another side, and {same:,} are the same."
    )
    typer.echo(said.format_map(fact))
    if row_before.spec_id != row_after.spec_id:
        typer.echo("Their specs differ, so that no frame of one is a frame of the other.")
    if listed:
        console.print(table(listed, _CHANGES))
    if montage is not None:
        typer.echo(f"Drew {drawn} frames into {montage}." if drawn else "There is none to draw.")


def _changed(fact: Any, name: str) -> str:
    now, before = fact[name], fact.get(f"{name}_before")
    return str(now) if before is None else f"{before} -> {now}"


def _read(snapshot_id: str) -> "tuple[Snapshot, pd.DataFrame]":
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.datasets import find_snapshot
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.resources.snapshot_files import read_members

    with Catalog().begin() as session:
        found = find_snapshot(session, snapshot_id)
        if found is None:
            raise NotFoundError(
                f"There is no snapshot {snapshot_id!r}. `visionops datasets ls` lists them."
            )
        session.expunge(found)
    return found, read_members(ObjectStore(), snapshot_id)


def _draw(path: Path, found: "Difference", before: "Snapshot", after: "Snapshot") -> int:
    """Draw frames of each kind, as far as they are to be had; return how many."""
    import pandas as pd

    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.frame_places import FramePlaces
    from visionops_assets.contracts import PreprocessingSpec
    from visionops_assets.resources.object_store import ObjectStore
    from visionops_assets.resources.snapshot_reading import with_pixels
    from visionops_assets.vision.plots import montage

    places, store = FramePlaces(Catalog()), ObjectStore()
    pictures, titles = [], []
    rows = found.samples(DRAWN)
    for snapshot, is_earlier in ((after, False), (before, True)):
        chosen = pd.DataFrame([row for row in rows if (row["change"] == "went") is is_earlier])
        if chosen.empty or not places.find(chosen["frame_id"].tolist()).is_known.any():
            continue
        size_px = PreprocessingSpec.model_validate(snapshot.spec).size_px
        files = with_pixels(store, snapshot.snapshot_id, chosen.assign(size_px=size_px), places)
        pictures += list(files.images[:])
        titles += [f"{row['change']} {row['label']}" for _, row in files.members.iterrows()]
    if pictures:
        path.write_bytes(montage(pictures, titles, columns=DRAWN))
    return len(pictures)
