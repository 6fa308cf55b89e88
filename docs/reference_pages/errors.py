"""Builds the page of error codes, from the exception tree and the services' status codes."""

import inspect
from collections.abc import Iterator
from http import HTTPStatus

from reference_pages.markdown import code, page, table
from visionops_assets.errors import VisionOpsError
from visionops_assets.resources import erasing, object_store  # noqa: F401 - Define some, too.
from visionops_assets.services.http import annotating  # noqa: F401 - Two more.
from visionops_assets.services.http.problems import STATUS_BY_CODE

_INTRODUCTION = """\
An HTTP service answers an error with a problem document ([RFC
9457](https://www.rfc-editor.org/rfc/rfc9457), `application/problem+json`) that has the members
`type`, `title`, `status`, `detail` and `code`. Programs may rely on `code`; `detail` is for
people. The command line prints the same sentence and ends with exit code 2. Codes of media are
also the reasons for which a file is in quarantine."""

_OF_THE_FRAMEWORK = {
    "method_not_allowed": (405, "The address is right, the method is not."),
    "malformed_request": (
        400,
        "The bytes are no request of HTTP/1.1, or no handshake of a WebSocket.",
    ),
    "slow_head": (408, "The request's line and headers did not come in time."),
    "head_too_large": (431, "The request's line and headers have too many bytes."),
    "too_many_connections": (503, "The service has as many connections as it may, all in use."),
    "foreign_origin": (403, "A web page of another host sent the request."),
}
"""Codes that no exception of ours has: an HTTP service answers them by itself."""


def build() -> str:
    """Return the page, a row per code."""
    rows = [
        [code(error.code), _status(error.code), _meaning(error)]
        for error in sorted(set(_tree(VisionOpsError)), key=lambda error: error.code)
        if "code" in vars(error)
    ]
    rows += [[code(name), str(status), text] for name, (status, text) in _OF_THE_FRAMEWORK.items()]
    return page("Error codes", _INTRODUCTION, table(["code", "HTTP status", "meaning"], rows))


def _tree(error: type[VisionOpsError]) -> Iterator[type[VisionOpsError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _status(name: str) -> str:
    return str(int(STATUS_BY_CODE.get(name, HTTPStatus.INTERNAL_SERVER_ERROR)))


def _meaning(error: type[VisionOpsError]) -> str:
    if error is VisionOpsError:
        return "An unforeseen error. The log of the service has it."
    return (inspect.getdoc(error) or "").partition("\n\n")[0]
