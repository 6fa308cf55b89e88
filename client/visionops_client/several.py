"""Several small files in one request: a form with the facts about each, and a result for each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx

from visionops_client.answers import FileResult, Receipt, SeveralResults
from visionops_client.connection import Connection, not_ours, read_as
from visionops_client.errors import RefusedError
from visionops_client.retrying import Retrying


@dataclass(frozen=True)
class SmallFile:
    """The bytes of a file, and what is said of it."""

    data: bytes
    said: Mapping[str, str]


def upload_several(
    connection: Connection, retrying: Retrying, files: Sequence[SmallFile], source: str
) -> list[Receipt | RefusedError]:
    """Upload files in one request, sent again until it is answered.

    Raises:
        RefusedError: the service refuses the request, and took none of them.
        ServerUnreachableError: not acknowledged in time.
    """
    boundary = uuid4().hex
    body = _form(files, boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    def attempt() -> httpx.Response:
        return connection.send(
            "POST", "/v1/media/batch", params={"source": source}, headers=headers, content=body
        )

    response = retrying.call(attempt)
    results = read_as(SeveralResults, response).results
    outcomes = [outcome for result in results if (outcome := _outcome(result))]
    if len(outcomes) != len(files):
        raise not_ours(response)
    return outcomes


def _form(files: Sequence[SmallFile], boundary: str) -> bytes:
    """Write the form. That of httpx says more of each part, and costs the service twice as much."""
    about, content = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        for name in ("about", "file")
    )
    parts: list[bytes] = []
    for file in files:
        said = json.dumps(dict(file.said)).encode()
        parts += [about, said, b"\r\n", content, file.data, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _outcome(result: FileResult) -> Receipt | RefusedError | None:
    if refusal := result.refusal:
        return RefusedError(refusal.status, refusal.code, refusal.detail)
    return result.receipt
