"""`visionops models new`: looks at a folder of files, and declares a model for them."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.screen import AsJson, print_fact
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from visionops_assets.models.drafting import FolderFacts

HEAD_BYTES = 256 * 1024
"""An image says its size within these first bytes, after its metadata."""
LOOKED_AT = 400
"""Images whose size is read, evenly spread."""
FEWEST_CLASSES = 2


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new model.")],
    task: Annotated[str, typer.Option(help="Kind of answer that it gives.")],
    files: Annotated[
        Path,
        typer.Option("--from", metavar="FOLDER", help="Folder of files, one folder per class."),
    ],
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="MODELS",
            help="Folder of declared models.",
            show_default="that of VISIONOPS_MODELS, or ./models",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Declare a model for the files of a folder: its classes, sizes and counts are looked at."""
    from visionops_assets.models import DECLARATION_FILE, declaration_files, read_text
    from visionops_assets.models.drafting import draft

    folder = _models_folder(into)
    target = folder / name / DECLARATION_FILE
    if target.exists():
        raise InvalidRequestError(f"{target} exists already: choose another name, or change it.")
    facts = _look_at(files)
    is_first = not declaration_files(folder)
    text = draft(name, task, facts, default=is_first)
    model = read_text(text, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    counted = ", ".join(f"{label} {n:,}" for label, n in sorted(facts.images_by_class.items()))
    print_fact(
        {
            "file": str(target),
            "model": model.name,
            "task": model.task,
            "images_by_class": dict(facts.images_by_class),
            "frames": model.frames.model_dump(mode="json"),
        },
        as_json,
        f"Images by class: {counted}.",
        f"Frames of {model.frames.size_px} px, {model.frames.resize}. Written: {target}",
        *_next_steps(folder, files),
    )


def _models_folder(into: Path | None) -> Path:
    from visionops_assets.settings import PACKAGED_MODELS

    declared = load_settings().models
    return (into or (Path("models") if declared == PACKAGED_MODELS else declared)).resolve()


def _next_steps(folder: Path, files: Path) -> list[str]:
    steps = []
    if load_settings().models != folder:
        steps.append(f"Then: export VISIONOPS_MODELS={folder}")
    return [
        *steps,
        "Then: visionops down && visionops up",
        f"Then: visionops import {files} --label-by-folder",
    ]


def _look_at(path: Path) -> "FolderFacts":
    """Count a folder's images by class, and read the sizes of some.

    Raises:
        InvalidRequestError: it is no folder, or has fewer than two classes.
    """
    from visionops_assets.client.importing.folder import Folder
    from visionops_assets.models.drafting import FolderFacts
    from visionops_assets.vision.headers import image_format

    if not path.is_dir():
        raise InvalidRequestError(f"{path} is no folder.")
    images: dict[str, list[Path]] = {}
    others = 0
    for item in Folder(path).list_files().items:
        file = path / item.path
        label = file.parent.name if file.parent != path else ""
        if image_format(_head(file, 64)) is None:
            others += 1
        elif label:
            images.setdefault(label, []).append(file)
    if len(images) < FEWEST_CLASSES:
        raise InvalidRequestError(
            f"{path} has images in {len(images)} folder(s), and a model needs two classes or more: "
            f"put the images of each class into a folder of its name, as in {path}/cat/1.jpg."
        )
    counts = Counter({label: len(found) for label, found in images.items()})
    every = [file for found in images.values() for file in found]
    chosen = every[:: -(-len(every) // LOOKED_AT)]
    sizes = [size for size in map(_size_px, chosen) if size]
    return FolderFacts(counts, sizes, videos=others)


def _size_px(file: Path) -> tuple[int, int] | None:
    from visionops_assets.vision.headers import image_size

    try:
        return image_size(_head(file, HEAD_BYTES))
    except VisionOpsError:
        return None  # The import will tell of a file that cannot be used.


def _head(file: Path, count: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(count)
