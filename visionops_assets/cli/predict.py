"""`visionops predict`: the answers of the served model to image files and folders."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.models import standing_of
from visionops_assets.cli.screen import AsJson, print_fact, print_json
from visionops_assets.client.importing.folder import Folder
from visionops_assets.client.importing.listing import Failure
from visionops_assets.errors import (
    InvalidRequestError,
    NoModelServedError,
    ServerUnreachableError,
    TooLargeError,
    VisionOpsError,
)
from visionops_assets.foreign_text import printable
from visionops_assets.models import ModelDeclaration, find_model
from visionops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from visionops_assets.resources.triton_answers import ServedAnswer

POLL_S = 3.0
"""Between two questions of one who waits for a model."""
FAILED = 2
HEADING = f"{'answer':>12}  probability  file"
MEANING = (
    "The probability is the model's own estimate that its answer is right. There is no threshold: "
    "it always gives its likeliest class, also for an image of something else. "
    "`visionops models show` says how often it was right on images that it never learned from."
)


def predict(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Image files, and folders of them.")
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until a model serves, and tell what happens.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model to ask.", show_default="the default one"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a served model for its answer to images, and print one line per file.

    Hidden files and symbolic links in a folder are left out. A file that cannot be used stops no
    other; the exit code is then 2.
    """
    settings = load_settings()
    asked = find_model(model)
    files, left_out, failures = _find(paths)
    if not files and not failures:
        raise InvalidRequestError(f"There is no file in {', '.join(map(str, paths))}.")
    if wait:
        _wait_for(asked)
    for failure in failures:
        _show_failure(failure, as_json)
    answers: Counter[str] = Counter()
    for path, outcome in _outcomes(asked, files, settings):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            _show_failure(outcome, as_json)
            continue
        if not answers and not as_json:
            typer.echo(HEADING)
        answers[outcome.label] += 1
        _show(path, outcome, as_json)
    if answers and not as_json:
        _show_summary(answers, len(failures), left_out)
    raise typer.Exit(FAILED if failures else 0)


def _find(paths: list[Path]) -> tuple[list[Path], Counter[str], list[Failure]]:
    """List files and those of folders, as an import does; count by reason those left out."""
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    failures: list[Failure] = []
    for path in paths:
        try:
            listing = Folder(path).list_files()
        except OSError as error:
            failures.append(Failure.of(str(path), error))
            continue
        files += [path / item.path for item in listing.items] if path.is_dir() else [path]
        left_out += listing.left_out
        failures += [replace(each, path=str(path / each.path)) for each in listing.failures]
    return files, left_out, failures


def _outcomes(
    model: ModelDeclaration, files: list[Path], settings: Settings
) -> Iterator[tuple[Path, "ServedAnswer | Failure"]]:
    """Ask for the answers to files, some at a time, and yield the outcomes in their order.

    Raises:
        NoModelServedError: no model serves; the message says why.
        ServerUnreachableError: Triton does not answer.
    """
    from visionops_assets.resources.triton import CONCURRENT_REQUESTS, TritonServer

    server = TritonServer()

    def ask(path: Path) -> "ServedAnswer | Failure":
        try:
            return server.predict_one(model.name, _content(path, settings), task=model.task)
        except (NoModelServedError, ServerUnreachableError):
            raise
        except (VisionOpsError, OSError) as error:
            return Failure.of(str(path), error)

    try:
        # Whoever stops reading its outcomes cancels the requests that wait.
        with ThreadPoolExecutor(CONCURRENT_REQUESTS, "predict") as pool:
            yield from zip(files, pool.map(ask, files), strict=True)
    except NoModelServedError as error:
        raise NoModelServedError(_why_nothing_serves(model, error)) from None


def _content(path: Path, settings: Settings) -> bytes:
    """Read a file, if it is not larger than an image may be: several are in memory at once."""
    limit = settings.max_predicted_image_bytes
    if path.stat().st_size > limit:
        raise TooLargeError(f"The image has more than {limit:,} bytes.")
    return path.read_bytes()


def _wait_for(model: ModelDeclaration) -> None:
    """Wait until the model serves, and tell for what.

    Raises:
        NoModelServedError: a person must do something first; the message says what.
    """
    from visionops_assets.catalog.next_steps import is_on_its_way, why_nothing_serves
    from visionops_assets.resources.triton import TritonServer

    triton, told = TritonServer(), ""
    while triton.served_version(model.name) is None:
        standing = standing_of(model.name)
        said = why_nothing_serves(standing)
        if not is_on_its_way(standing):
            raise NoModelServedError(said)
        if said != told:
            typer.echo(f"{time.strftime('%H:%M:%S')}  {said}", err=True)
            told = said
        time.sleep(POLL_S)


def _why_nothing_serves(model: ModelDeclaration, error: NoModelServedError) -> str:
    from visionops_assets.catalog.next_steps import why_nothing_serves

    standing = standing_of(model.name)
    return why_nothing_serves(standing) if standing.champion_version is None else str(error)


def _show(path: Path, answer: "ServedAnswer", as_json: bool) -> None:
    row = {
        "file": str(path),
        "label": answer.label,
        "probability": round(answer.answer.confidence, 6),
        "model_version": answer.model_version,
        "prediction_id": str(answer.prediction_id),
    }
    print_fact(row, as_json, "{label:>12}  {probability:>11.4f}  {file}".format_map(row))


def _show_failure(failure: Failure, as_json: bool) -> None:
    if as_json:
        print_json({"file": failure.path, "code": failure.code, "detail": failure.detail})
        return
    said = f"{failure.path}: {failure.code}: {failure.detail}"
    typer.echo(f"visionops: {printable(said)}", err=True)


def _show_summary(answers: Counter[str], failed: int, left_out: Counter[str]) -> None:
    """Say what the answers were, and what the figures mean."""
    if answers.total() + failed > 1:
        counts = ", ".join(f"{count:,} {label}" for label, count in answers.most_common())
        said = f"{answers.total():,} {'answer' if answers.total() == 1 else 'answers'}: {counts}."
        if failed:
            said += f" {failed:,} {'file' if failed == 1 else 'files'} could not be used."
        if left_out:
            said += f" Left out: {', '.join(f'{n:,} {why}' for why, n in left_out.items())}."
        typer.echo(printable(said))
    typer.echo(MEANING)
