"""`visionops labels`: labels of stored files, one by one and by files, and those of a key."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from visionops_assets.cli import label_files
from visionops_assets.cli.api_key import given_or_own_key
from visionops_assets.cli.screen import AsJson, Columns, print_fact, print_json, print_rows
from visionops_assets.contracts import Scope
from visionops_assets.contracts.payloads import text_of
from visionops_assets.errors import RefusedError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_client.ingest import IngestClient

MediaId = Annotated[UUID, typer.Argument(metavar="MEDIA_ID", help="Id of the stored file.")]
Model = Annotated[
    str | None, typer.Option(help="Name of the model; else the default one.", show_default=False)
]
From = Annotated[
    float | None,
    typer.Option("--from", metavar="S", help="Of a part of a video: seconds.", show_default=False),
]
To = Annotated[
    float | None,
    typer.Option("--to", metavar="S", help="End of the part, exclusive.", show_default=False),
]
Key = Annotated[
    str | None,
    typer.Option(help="API key. It is safer in VISIONOPS_API_KEY.", show_default=False),
]
_COLUMNS: Columns = {
    "label": lambda given: text_of(given["annotation"]),
    "model": lambda given: given["model"] or "all",
    "part": lambda given: _part(given["start_s"], given["end_s"]),
    "by": "author",
    "origin": "origin",
    "given": "created_at",
}

_CONFLICT_COLUMNS: Columns = {
    "file": lambda found: ", ".join(found["media"]),
    "frames": "frames",
    "label": "label",
    "by": "by",
    "contradicted by": lambda found: "; ".join(found["contradicted_by"]),
}

app = typer.Typer(help="Labels of media and of predictions.", no_args_is_help=True)


@app.callback()
def _of_labels() -> None:
    """Say what files show, and take labels back."""


@app.command()
def add(
    media_id: MediaId,
    label: Annotated[
        str,
        typer.Argument(
            metavar="LABEL", help="The label; several with commas, where a model gives several."
        ),
    ],
    model: Model = None,
    from_s: From = None,
    to_s: To = None,
    new_class: Annotated[
        bool, typer.Option("--new-class", help="It may be a class that the model does not have.")
    ] = False,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Label a stored file, or a part of a video. The newest label counts."""
    from visionops_assets.models import find_model

    declared = find_model(model or None)
    payload = declared.payload_of(label)
    with _client(key) as client:
        try:
            given = client.annotate_media(
                media_id, payload, model=model, start_s=from_s, end_s=to_s, new_classes=new_class
            )
        except RefusedError as error:
            said = label_files.by_option(error.detail, "--new-class")
            raise RefusedError(error.status, error.reason, said) from None
    print_fact(given, as_json, f"{media_id} has the label {label} for {declared.name}.")


@app.command()
def show(media_id: MediaId, key: Key = None, as_json: AsJson = False) -> None:
    """Show the labels of a stored file, newest first."""
    with _client(key) as client:
        found = client.annotations_of_media(media_id)
    rows = [given.model_dump() for given in found]
    print_rows(rows, _COLUMNS, as_json, f"{media_id} has no label.")


@app.command()
def rm(
    media_id: MediaId,
    model: Model = None,
    from_s: From = None,
    to_s: To = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take back the labels of a stored file, or of just this part of a video."""
    with _client(key) as client:
        client.annotate_media(media_id, None, model=model, start_s=from_s, end_s=to_s)
    taken_back = {"media_id": media_id, "model": model, "start_s": from_s, "end_s": to_s}
    print_fact(taken_back, as_json, f"Took the labels of {media_id} back.")


@app.command()
def conflicts(
    model: Model = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Open a labelling batch that asks which is right.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List labels of one content that contradict each other, and the one that counts.

    Files of equal bytes have one content. The most trusted label counts, and of equally trusted
    ones the newest. To settle it, label the file anew, or take the other labels back. A labelling
    batch asks about them when labels are read for the next snapshot; `--ask` opens it now.
    """
    from visionops_assets.catalog.connection import Catalog
    from visionops_assets.catalog.contradictions import ask_about, contradictions
    from visionops_assets.catalog.datasets import now
    from visionops_assets.models import find_model
    from visionops_assets.models.contradictions import Settled

    declared = find_model(model or None)
    with Catalog().begin() as session:
        found = contradictions(session, declared, now(session))
        settled = [Settled(one.counts, one.others) for one in found]
        asked = ask_about(session, declared, settled) if ask else None
    rows = [
        {
            "sha256": one.sha256,
            "media": sorted({str(word.media_id) for word in (one.counts, *one.others)}),
            "frames": one.frames,
            "label": one.counts.label,
            "by": one.counts.speaker,
            "contradicted_by": [str(word) for word in one.others],
        }
        for one in found
    ]
    print_rows(rows, _CONFLICT_COLUMNS, as_json, f"No labels for {declared.name} contradict.")
    if asked is not None and not as_json:
        typer.echo(f"Labelling batch {asked.batch_id} asks which label is right.")


@app.command()
def revoke(
    by: Annotated[str, typer.Option("--by", help="Name of the key that gave them.")],
    since: Annotated[
        datetime | None, typer.Option(help="Only those given since then, in UTC.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take back the labels that a key gave. Earlier labels of others count again.

    Nothing is deleted: a row of its own takes each label back. Accuracy, the alarm, snapshots and
    decisions follow. To keep the key from giving more, revoke it: `visionops keys revoke`.
    """
    from visionops_assets.catalog import labels
    from visionops_assets.catalog.connection import Catalog

    with Catalog().begin() as session:
        of_media, of_predictions = labels.revoke(
            session, by, since.replace(tzinfo=UTC) if since else None
        )
    if as_json:
        print_json({"by": by, "media": of_media, "predictions": of_predictions})
        return
    typer.echo(f"Took back {of_media} labels of media and {of_predictions} of predictions.")


@contextmanager
def _client(key: str | None) -> "Iterator[IngestClient]":
    from visionops_client.ingest import IngestClient

    settings = load_settings()
    name = f"labels-{uuid4().hex[:8]}"
    with (
        given_or_own_key(settings, key, name, Scope.LABEL) as api_key,
        IngestClient(settings.ingest_url, api_key, retry_for_s=30.0) as client,
    ):
        yield client


def _part(start_s: float | None, end_s: float | None) -> str:
    return "all" if start_s is None else f"{start_s:g} to {end_s:g} s"


app.command("import")(label_files.import_labels)
app.command("export")(label_files.export_labels)
