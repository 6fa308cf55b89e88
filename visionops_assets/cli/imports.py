"""`visionops import`: many files at once, from a folder or from S3."""

import csv
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console

from visionops_assets.cli.api_key import given_or_own_key
from visionops_assets.cli.root import INTERRUPTED
from visionops_assets.cli.screen import ABSENT, AsJson, console, print_fact, print_json
from visionops_assets.contracts import Scope
from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from visionops_assets.client.importing.importer import ImportResult
    from visionops_assets.client.importing.journal import Journal, Order
    from visionops_assets.client.importing.listing import Item, Place

FAILED = 2
# Shows its progress to people, so that standard output holds the summary or the report alone.
_side_console = Console(stderr=True)


def import_media(
    origin: Annotated[
        str, typer.Argument(metavar="PATH|s3://BUCKET/PREFIX", help="A folder, a file, or S3.")
    ],
    source: Annotated[
        str, typer.Option(help="Name of the source to store with the media.")
    ] = "import",
    label: Annotated[
        str | None, typer.Option(help="Label of all files.", show_default=False)
    ] = None,
    label_by_folder: Annotated[
        bool, typer.Option("--label-by-folder", help="Label each file by the name of its folder.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE.csv",
            help="Table with the columns `path`, from PATH on, and `label`.",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that the labels are for; else each that looks at the source.",
            show_default=False,
        ),
    ] = None,
    parallel: Annotated[
        int,
        typer.Option(min=1, max=64, help="Number of requests at a time; small files share them."),
    ] = 8,
    key: Annotated[
        str | None,
        typer.Option(help="API key. It is safer in VISIONOPS_API_KEY.", show_default=False),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(help="Address of an S3 store other than Amazon's.", show_default=False),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Import files that were imported before, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the files that would be uploaded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload the images and videos of a folder or of an S3 prefix.

    After an interruption, run it again: it goes on with the files that are left. The exit code is 2
    if a file failed.
    """
    from visionops_assets.client.importing.importer import ImportResult
    from visionops_assets.client.importing.journal import Journal, Order
    from visionops_assets.client.importing.report import Report, plan

    if sum(map(bool, (label, label_by_folder, labels))) > 1:
        raise InvalidRequestError("Give one of --label, --label-by-folder and --labels.")
    settings = load_settings()
    place = _place(origin, endpoint_url, settings, parallel)
    order = Order(
        place.address,
        settings.ingest_url,
        source,
        label,
        label_by_folder,
        str(labels.resolve()) if labels else None,
        model,
        read_labels(labels) if labels else {},
    )
    started_s = time.monotonic()
    listing = place.list_files()
    with Journal(settings.home / "imports", order, afresh=again and not dry_run) as journal:
        if labels:
            _require_known(labels, order, [item.path for item in listing.items])
        to_do = [item for item in listing.items if again or not journal.has(item)]
        if dry_run:
            _show_plan(plan(order, to_do), as_json)
            return
        result = ImportResult()
        if to_do:
            with given_or_own_key(
                settings, key, f"import-{order.import_id}", Scope.INGEST
            ) as api_key:
                result = _run(place, order, to_do, journal, api_key, parallel)
    report = Report(order, listing, len(to_do), result, time.monotonic() - started_s)
    if as_json:
        print_json(report.facts())
    else:
        report.show(console)
    if result.stopped_by:
        raise result.stopped_by
    raise typer.Exit(INTERRUPTED if report.not_tried else FAILED if report.failures else 0)


def read_labels(path: Path) -> dict[str, str]:
    """Read the labels of files from a CSV file, by path; the last one of a path counts.

    Raises:
        InvalidRequestError: it is no such file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, strict=True)
            if missing := {"path", "label"} - set(rows.fieldnames or ()):
                raise InvalidRequestError(
                    f"{path} has no column {' and no column '.join(sorted(missing))}: the first "
                    "line names the columns, path and label."
                )
            return {row["path"]: label for row in rows if (label := (row["label"] or "").strip())}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequestError(f"{path} is no CSV file in UTF-8: {error}.") from error


def _require_known(path: Path, order: "Order", found: "list[str]") -> None:
    """Refuse a table of other files: all would be imported without labels."""
    if found and not order.labels.keys() & set(found):
        raise InvalidRequestError(
            f"{path} labels none of the files, such as {found[0]!r}: write paths from the folder "
            "on that is imported."
        )


def _show_plan(files: list[dict[str, Any]], as_json: bool) -> None:
    """Print each file that would be uploaded, and for people their sum."""
    from rich.filesize import decimal

    for file in files:
        size, label = decimal(file["bytes"]), file["label"] or ABSENT
        print_fact(file, as_json, f"{size:>10}  {label}  {file['path']}")
    if not as_json:
        typer.echo(f"{len(files):,} files, {decimal(sum(file['bytes'] for file in files))}")
        labels = Counter(file["label"] for file in files if file["label"])
        for label, count in sorted(labels.items()):
            typer.echo(f"{count:>10,}  {label}")


def _place(origin: str, endpoint_url: str | None, settings: Settings, connections: int) -> "Place":
    from visionops_assets.client.importing.folder import Folder

    if not origin.startswith("s3://"):
        return Folder(Path(origin))
    from visionops_assets.client.importing.bucket import AccessKey, Bucket

    key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    is_own = endpoint_url is not None and endpoint_url == settings.s3_endpoint_url
    access_key = AccessKey(key_id, secret) if is_own and key_id and secret else None
    return Bucket(origin, connections=connections, endpoint_url=endpoint_url, access_key=access_key)


def _run(
    place: "Place",
    order: "Order",
    to_do: "list[Item]",
    journal: "Journal",
    api_key: SecretStr,
    parallel: int,
) -> "ImportResult":
    from visionops_assets.client.importing.importer import Importer
    from visionops_assets.client.importing.progress import watching
    from visionops_client.ingest import IngestClient

    total_bytes = sum(item.size_bytes for item in to_do)
    with IngestClient(order.ingest_url, api_key) as client:
        client.check()
        importer = Importer(client, place, order, parallel)
        with (
            _stopping(importer.stop),
            watching(_side_console, len(to_do), total_bytes) as watcher,
        ):
            return importer.run(to_do, journal, watcher)


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when Ctrl-C is pressed or SIGTERM comes; the next one ends the process."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        stop()
        _side_console.print("Waiting for the files in flight. Ctrl-C again: end at once.")

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
