"""Where a camera's pictures come from: which addresses are accepted.

An address may hold a password, and must never be shown or logged but by `redaction.masked`.
"""

import re
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from visionops_assets.errors import InvalidRequestError
from visionops_assets.redaction import masked

MAX_ADDRESS_CHARACTERS = 2_000
FILE_PREFIX = "file:"

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


class Transport(StrEnum):
    """The protocol that carries the pictures."""

    RTSP = "rtsp"
    HTTP = "http"
    FILE = "file"


_TRANSPORT_BY_SCHEME = {
    "rtsp": Transport.RTSP,
    "rtsps": Transport.RTSP,
    "http": Transport.HTTP,
    "https": Transport.HTTP,
    "file": Transport.FILE,
}


def transport_of(address: str) -> Transport:
    """Return the transport of an address that `checked_address` returned."""
    return _TRANSPORT_BY_SCHEME[address.partition(":")[0].lower()]


def checked_address(address: str) -> str:
    """Return an address as FFmpeg takes it; a path becomes `file:` and its absolute form.

    Raises:
        InvalidRequestError: the address is neither RTSP, HTTP nor an existing file.
    """
    if len(address) > MAX_ADDRESS_CHARACTERS or not address.isprintable():
        raise InvalidRequestError(
            f"The address must have at most {MAX_ADDRESS_CHARACTERS:,} characters, all printable."
        )
    scheme = _SCHEME.match(address)
    if scheme is None or scheme[1].lower() == "file":
        return _checked_file(address[scheme.end() :] if scheme else address)
    if scheme[1].lower() not in _TRANSPORT_BY_SCHEME:
        raise InvalidRequestError(
            f"A camera cannot be read by {scheme[1]}. Give an address that begins with rtsp://, "
            "rtsps://, http:// or https://, or the path of a video file."
        )
    if not _has_host(address):
        raise InvalidRequestError(
            f"The address {masked(address)} names no host. Write special characters of a password "
            "as in %40 for @."
        )
    return address


def _checked_file(path: str) -> str:
    absolute = Path(path.removeprefix("//") if path.startswith("///") else path).resolve()
    if not absolute.is_file():
        raise InvalidRequestError(f"There is no file {absolute}.")
    return f"{FILE_PREFIX}{absolute}"


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # the error's text would hold the address
        return False
