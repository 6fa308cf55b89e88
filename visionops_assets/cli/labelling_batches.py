"""`visionops labelling-batches ls | show | apply`: files and predictions to be labelled."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from visionops_assets.cli.api_key import given_or_own_key
from visionops_assets.cli.labelling_files import LABELS_FILE, read_labels, save
from visionops_assets.cli.screen import AsJson, Columns, print_fact, print_rows
from visionops_assets.contracts import Scope
from visionops_assets.settings import load_settings

_BATCH_COLUMNS: Columns = {
    "batch": "batch_id",
    "purpose": "purpose",
    "model": "model_name",
    "version": "model_version",
    "decision": "decision_id",
    "labelled": lambda batch: f"{batch['labelled']} of {batch['items']}",
    "opened": "opened_at",
    "closed": lambda batch: batch["closed_at"] or "open",
}
_ITEM_COLUMNS: Columns = {
    "prediction or file": lambda item: item["prediction_id"] or item["media_id"],
    "name": "filename",
    "part": lambda item: (
        None if item["start_s"] is None else f"{item['start_s']:g} to {item['end_s']:g} s"
    ),
    "answer": "answer",
    "confidence": "confidence",
    "image": lambda item: None if item["media_id"] else "kept" if item["image_key"] else "not kept",
    "label": "label",
}

app = typer.Typer(
    help="Labelling batches: files and predictions that wait for a label.", no_args_is_help=True
)


@app.command("ls")
def list_batches(
    as_json: AsJson = False,
) -> None:
    """List the labelling batches, newest first, with the number of labels in each."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.labelling import batches

    with Catalog().begin() as session:
        found = batches(session)
    nothing = "There is no labelling batch yet."
    print_rows([asdict(batch) for batch in found], _BATCH_COLUMNS, as_json, nothing)


@app.command()
def show(
    batch_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, help="See `visionops labelling-batches ls`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help=f"Folder to save the kept images in, and {LABELS_FILE} to fill in.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the items of a batch: those without a label first, the least confident first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.labelling import batch_of
    from visionops_assets.catalog.labelling_items import batch_items

    with Catalog().begin() as session:
        model = batch_of(session, batch_id).model_name
        items = batch_items(session, batch_id)
    if out is not None:
        saved, lost = save(items, out, model)
        file = out / LABELS_FILE
        said = (
            f"Saved {saved} images of {len(items)} items. Fill in the labels of {file}, "
            "then run `visionops labelling-batches apply` on it."
        )
        predictions = sum(item.prediction_id is not None for item in items)
        fact = {
            "images": saved,
            "predictions": predictions,
            "media": len(items) - predictions,
            "labels_file": str(file),
            "lost": lost,
        }
        print_fact(
            fact, as_json, "\n".join([*(f"Without an image: {each}" for each in lost), said])
        )
        return
    nothing = f"Labelling batch {batch_id} is empty."
    print_rows([asdict(item) for item in items], _ITEM_COLUMNS, as_json, nothing)


@app.command()
def apply(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            exists=True,
            dir_okay=False,
            readable=True,
            help="The file that `show --out` made, filled in.",
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(help="API key. It is safer in VISIONOPS_API_KEY.", show_default=False),
    ] = None,
    new_class: Annotated[
        bool,
        typer.Option("--new-class", help="Files may be of classes that the model does not have."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send the labels of a CSV file to the services. Rows without a label are left out.

    You can run it again: the newest label of a prediction or a file counts.
    """
    from visionops_assets.models import find_model
    from visionops_client import GatewayClient, IngestClient

    labels = read_labels(file)
    settings = load_settings()
    with (
        given_or_own_key(settings, key, f"labelling-{uuid4().hex[:8]}", Scope.LABEL) as api_key,
        GatewayClient(settings.gateway_url, api_key) as gateway,
        IngestClient(settings.ingest_url, api_key, retry_for_s=30.0) as ingest,
    ):
        for asked, label in labels.items():
            if asked.prediction_id is not None:
                gateway.label(asked.prediction_id, label, answers_draw=True)
            elif asked.media_id is not None:
                ingest.annotate_media(
                    asked.media_id,
                    find_model(asked.model).payload_of(label),
                    model=asked.model,
                    start_s=asked.start_s,
                    end_s=asked.end_s,
                    new_classes=new_class,
                )
    print_fact({"labels": len(labels)}, as_json, f"Sent {len(labels)} labels.")
