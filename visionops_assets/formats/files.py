"""Files of annotations: bounded, read as JSON or text, and never written over."""

import hashlib
import re
from glob import escape
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic_core import from_json

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import RowError

MAX_JSON_BYTES = 512 * 1000**2
"""A document of JSON is read as a whole, and takes some ten times its size in memory."""
MAX_STREAMED_BYTES = 4 * 1000**3
MAX_SMALL_BYTES = 10 * 1000**2
"""Of a file about one picture."""
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Set by Label Studio before the name of a file that was uploaded there."""
PICTURE_ENDINGS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
        ".pnm",
        ".ppm",
        ".pgm",
    ]
)


def bounded(path: Path, max_bytes: int = MAX_STREAMED_BYTES) -> Path:
    """Return a file that is there, and not too large.

    Raises:
        InvalidRequestError: it is not, or is.
    """
    if not path.is_file():
        raise InvalidRequestError(f"{path} is no file.")
    size_bytes = path.stat().st_size
    if size_bytes > max_bytes:
        raise InvalidRequestError(
            f"{path} has {size_bytes:,} bytes, and {max_bytes:,} are the most of this format. "
            "Split it, or take csv."
        )
    return path


def folder(path: Path, needs: str) -> Path:
    """Return a folder that is there.

    Raises:
        InvalidRequestError: there is no folder; says what it `needs`.
    """
    if not path.is_dir():
        raise InvalidRequestError(f"{path} is no folder, and this format is one with {needs}.")
    return path


def read_json(path: Path) -> Any:
    """Read a document of JSON.

    Raises:
        InvalidRequestError: it has another form, or is too large.
    """
    try:
        return from_json(bounded(path, MAX_JSON_BYTES).read_bytes(), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"{path} is no JSON: {error}.") from None


def fresh(path: Path) -> Path:
    """Return the path of a file that is not there yet, with its folder made.

    Raises:
        InvalidRequestError: there is something already.
    """
    if path.exists():
        raise InvalidRequestError(f"{path} exists already: name another file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_in(root: Path, name: str, ending: str) -> Path:
    """Return the path in a folder of the file that describes a picture, with its folder made.

    Raises:
        RowError: the name leads out of the folder, or another picture has that file.
    """
    try:
        place = (root / name).with_suffix(ending)
        is_inside = place.resolve().is_relative_to(root.resolve())
        is_taken = place.exists()
    except (OSError, ValueError):
        raise RowError("No file can have its name.") from None
    if not is_inside:
        raise RowError("Its name leads out of the folder.")
    if is_taken:
        raise RowError(f"Another picture is called {PurePath(name).stem}, with another ending.")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def picture_beside(folder: Path, stem: str) -> Path | None:
    """Return the picture of a stem in a folder, whatever its ending."""
    found = (each for each in sorted(folder.glob(f"{escape(stem)}.*")) if is_picture(each))
    return next(found, None)


def picture_of_address(text: str) -> str | None:
    """Return the name of a picture as Label Studio addresses it; None if it is no picture.

    That is a path or a URL, with a storage's path in `d`, or an upload with digits before its name.
    """
    try:
        address = urlsplit(text)
    except ValueError:
        return None
    local = parse_qs(address.query).get("d")
    name = local[0] if local else unquote(address.path).lstrip("/")
    if not is_picture(Path(name)):
        return None
    is_upload = name.startswith("data/upload/")
    return UPLOADED.sub("", PurePosixPath(name).name) if is_upload else name


def is_picture(path: Path) -> bool:
    """Say whether a file is called as a picture."""
    return path.suffix.lower() in PICTURE_ENDINGS


def picture_in(images: Path | None, name: str) -> Path | None:
    """Return the copy of a picture in a folder, None without; no name leads out of it."""
    if images is None or not name:
        return None
    found = images / name
    try:
        is_inside = found.resolve().is_relative_to(images.resolve())
        return found if is_inside and found.is_file() else None
    except (OSError, ValueError):  # A name that the system does not take.
        return None
