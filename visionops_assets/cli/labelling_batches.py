"""`visionops labelling-batches ls | show | apply`: labels that the retrain arbiter asks for."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from visionops_assets.cli.api_key import given_or_own_key
from visionops_assets.cli.screen import AsJson, Columns, print_fact, print_rows
from visionops_assets.contracts import Scope
from visionops_assets.errors import AlteredMediaError, InvalidRequestError, NotFoundError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.catalog.labelling_items import BatchItem

COLUMNS = ("prediction_id", "answer", "label")
LABELS_FILE = "labels.csv"
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
    "prediction": "prediction_id",
    "answer": "answer",
    "confidence": "confidence",
    "image": lambda item: "kept" if item["image_key"] else "not kept",
    "label": "label",
}

app = typer.Typer(
    help="Labelling batches: predictions that wait for a label.", no_args_is_help=True
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
    """Show the predictions of a batch: those without a label first, the least confident first."""
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.labelling_items import batch_items

    with Catalog().begin() as session:
        items = batch_items(session, batch_id)
    if out is not None:
        saved, lost = _save(items, out)
        file = out / LABELS_FILE
        said = (
            f"Saved {saved} images of {len(items)} predictions. Fill in the labels of {file}, "
            "then run `visionops labelling-batches apply` on it."
        )
        fact = {"images": saved, "predictions": len(items), "labels_file": str(file), "lost": lost}
        print_fact(
            fact, as_json, "\n".join([*(f"Without an image: {each}" for each in lost), said])
        )
        return
    nothing = f"Labelling batch {batch_id} has no prediction."
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
    as_json: AsJson = False,
) -> None:
    """Send the labels of a CSV file to the gateway. Rows without a label are left out.

    You can run it again: the newest label of a prediction counts.
    """
    from visionops_client import GatewayClient

    labels = read_labels(file)
    settings = load_settings()
    name = f"labelling-{uuid4().hex[:8]}"
    with (
        given_or_own_key(settings, key, name, Scope.LABEL) as api_key,
        GatewayClient(settings.gateway_url, api_key) as client,
    ):
        for prediction_id, label in labels.items():
            client.label(prediction_id, label, answers_draw=True)
    print_fact({"labels": len(labels)}, as_json, f"Sent {len(labels)} labels.")


def read_labels(path: Path) -> dict[UUID, str]:
    """Read the filled-in labels of a CSV file; the last one of a prediction counts.

    Raises:
        InvalidRequestError: it is not such a file, or holds no label. Nothing has been sent.
    """
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            labels = dict(_labels(path, csv.DictReader(lines, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{path} is no CSV file in UTF-8: {error}.") from error
    if not labels:
        raise InvalidRequestError(f"{path} holds no label: fill in the column `label`.")
    return labels


def _labels(path: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[UUID, str]]:
    missing = {"prediction_id", "label"} - set(reader.fieldnames or ())
    if missing:
        raise InvalidRequestError(
            f"{path} has no column {' and no column '.join(sorted(missing))}: the first line names "
            f"the columns, {', '.join(COLUMNS)}."
        )
    for row in reader:
        label = (row["label"] or "").strip()
        if not label:
            continue
        try:
            yield UUID(row["prediction_id"]), label
        except (ValueError, TypeError, AttributeError):
            raise InvalidRequestError(
                f"{path}, line {reader.line_num}: {row['prediction_id']!r} is not a prediction id."
            ) from None


def _save(items: "Sequence[BatchItem]", folder: Path) -> tuple[int, list[str]]:
    """Save images and the CSV file; return how many images there are, and why others are not.

    Raises:
        InvalidRequestError: the CSV file exists already, and may have been filled in.
    """
    from visionops_assets.monitoring.kept_images import read_kept_image
    from visionops_assets.resources.object_store import ObjectStore

    if (folder / LABELS_FILE).exists():
        raise InvalidRequestError(
            f"{folder / LABELS_FILE} exists already, and labels may be in it: name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    store, saved, lost = ObjectStore(), 0, list[str]()
    for item in items:
        if item.image_key is None:
            continue
        try:
            image = read_kept_image(store, item.image_key)
        except (NotFoundError, AlteredMediaError) as error:
            lost.append(f"{item.prediction_id}: {error}")
            continue
        (folder / f"{item.prediction_id}{_suffix(image)}").write_bytes(image)
        saved += 1
    with (folder / LABELS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([item.prediction_id, item.answer, item.label or ""] for item in items)
    return saved, lost


def _suffix(image: bytes) -> str:
    """Return the file extension of a kind of image, so that viewers open it."""
    from visionops_assets.vision.headers import image_format

    found = image_format(image)
    return f".{found.name.lower()}" if found else ""
