"""Resumable uploads over HTTP: tus 1.0.0 with creation, expiration and termination.

https://tus.io/protocols/resumable-upload; any tus client can be used. A finished upload tells its
media id in `Visionops-Media-Id`, and its whole receipt to GET.
"""

import base64
from datetime import UTC
from email.utils import format_datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.exceptions import HTTPException

from visionops_assets.catalog.resumable import ResumableState
from visionops_assets.contracts import Record, Scope
from visionops_assets.errors import InvalidRequestError, ResumableConflictError
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.body import body_of
from visionops_assets.services.http.problems import problems
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.fields import UploadQuery
from visionops_assets.services.ingest.resumable import ResumableUploads
from visionops_assets.settings import Settings

RESUMABLE_TAG = Tag(
    "resumable uploads",
    "Large files, in parts: [tus 1.0](https://tus.io/protocols/resumable-upload), so that any tus "
    "client can be used.",
)
TUS_VERSION = "1.0.0"
PART_TYPE = "application/offset+octet-stream"
PART_BODY = {
    "requestBody": {
        "required": True,
        "content": {PART_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_INVALID = problems(HTTPStatus.UNPROCESSABLE_ENTITY)
_OTHER_VERSION = problems(HTTPStatus.PRECONDITION_FAILED)
_BEGIN_PROBLEMS = _OTHER_VERSION | problems(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_UNKNOWN = problems(HTTPStatus.NOT_FOUND)
_PART_PROBLEMS = (
    _OTHER_VERSION
    | _UNKNOWN
    | problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )
)


_UNDER_WAY = {
    "upload_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "total_bytes": 52428800,
    "offset_bytes": 8388608,
}


class ResumableAnswer(Record, json_schema_extra={"examples": [_UNDER_WAY]}):
    """The state of a resumable upload; it has a receipt once it is complete."""

    upload_id: UUID
    total_bytes: int
    offset_bytes: int
    receipt: UploadReceipt | None = None


def _speaks_tus(
    response: Response,
    tus_resumable: Annotated[
        str,
        Header(description="The protocol's version.", json_schema_extra={"enum": [TUS_VERSION]}),
    ],
) -> None:
    if tus_resumable != TUS_VERSION:
        raise HTTPException(
            HTTPStatus.PRECONDITION_FAILED,
            f"Tus-Resumable: {TUS_VERSION} is spoken here.",
            headers={"Tus-Version": TUS_VERSION},
        )
    response.headers["Tus-Resumable"] = TUS_VERSION


def resumable_routes(access: Access, uploads: ResumableUploads, settings: Settings) -> APIRouter:
    """Build the routes."""
    router = APIRouter(
        prefix="/v1/uploads", tags=[RESUMABLE_TAG.name], responses=PROTECTED | _INVALID
    )
    client = Annotated[Principal, Depends(access.require(Scope.INGEST))]
    tus = [Depends(_speaks_tus)]
    # An empty file gets a refusal of its own, so the framework lets it pass.
    most = {"minimum": 1, "maximum": settings.max_upload_bytes}
    length = Annotated[
        int, Header(ge=0, description="Bytes of the whole file.", json_schema_extra=most)
    ]
    position = Annotated[int, Header(ge=0, description="Where the body begins in the file.")]

    @router.options("", status_code=204, summary="Ask for what is supported")
    async def capabilities() -> Response:
        """Return the version of tus, its extensions and the largest file, as headers."""
        headers = {
            "Tus-Resumable": TUS_VERSION,
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(settings.max_upload_bytes),
        }
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

    @router.post("", status_code=201, summary="Begin", dependencies=tus, responses=_BEGIN_PROBLEMS)
    async def begin_upload(
        request: Request,
        response: Response,
        principal: client,
        upload_length: length,
        upload_metadata: Annotated[
            str,
            Header(description="`filename`, `source`, `captured_at`, `label`, `model`: in Base64."),
        ] = "",
    ) -> ResumableAnswer:
        """Say how long the file is; `Location` of the answer says where its bytes go."""
        fields = fields_of(upload_metadata)
        state = await uploads.create(principal.name, upload_length, fields)
        response.headers["Location"] = f"{request.url.path}/{state.upload_id}"
        _describe(response, state)
        return _answer(state)

    @router.head(
        "/{upload_id}",
        summary="Ask where to go on",
        dependencies=tus,
        responses=_OTHER_VERSION | _UNKNOWN,
    )
    async def find_offset(upload_id: UUID, response: Response, principal: client) -> None:
        """Return in `Upload-Offset` how many bytes are stored."""
        _describe(response, await uploads.state(upload_id, principal.name))

    @router.patch(
        "/{upload_id}",
        summary="Send the next bytes",
        status_code=204,
        dependencies=tus,
        responses=_PART_PROBLEMS,
        openapi_extra=PART_BODY,
    )
    async def write_part(
        upload_id: UUID,
        request: Request,
        response: Response,
        principal: client,
        upload_offset: position,
    ) -> None:
        """Send bytes from `Upload-Offset` on. With the last ones a 204 acknowledges the file."""
        if request.headers.get("content-type") != PART_TYPE:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {PART_TYPE}.")
        state = await uploads.state(upload_id, principal.name)
        if upload_offset != state.offset_bytes:
            raise ResumableConflictError(
                f"The upload stands at {state.offset_bytes:,}, not at {upload_offset:,}."
            )
        body = body_of(
            request,
            max_bytes=state.total_bytes - state.offset_bytes,
            idle_timeout_s=settings.body_idle_timeout_s,
        )
        _describe(response, await uploads.write(state, principal, body))

    @router.delete(
        "/{upload_id}",
        status_code=204,
        summary="Give up",
        dependencies=tus,
        responses=_OTHER_VERSION | _UNKNOWN,
    )
    async def end_upload(upload_id: UUID, principal: client) -> None:
        """Remove the parts that were sent. A media file that the upload became stays."""
        await uploads.delete(await uploads.state(upload_id, principal.name))

    @router.get("/{upload_id}", summary="Ask for the receipt", responses=_UNKNOWN)
    async def upload_state(upload_id: UUID, principal: client) -> ResumableAnswer:
        """Return how many bytes are stored, and the receipt once the file is complete."""
        return _answer(await uploads.state(upload_id, principal.name))

    return router


def fields_of(metadata: str) -> UploadQuery:
    """Read `Upload-Metadata`: pairs of a key and a Base64 value. Unknown keys are ignored.

    Raises:
        InvalidRequestError: a value is not in Base64 or UTF-8.
        RequestValidationError: a value cannot be used.
    """
    said: dict[str, str] = {}
    for pair in filter(None, metadata.split(",")):
        key, _, value = pair.strip().partition(" ")
        if key not in UploadQuery.model_fields:
            continue
        try:
            said[key] = base64.b64decode(value, validate=True).decode()
        except ValueError:  # Of Base64 or of UTF-8.
            raise InvalidRequestError(f"Upload-Metadata: {key} is no Base64 of UTF-8.") from None
    return UploadQuery().updated(said)


def _answer(state: ResumableState) -> ResumableAnswer:
    receipt = None if state.receipt is None else UploadReceipt.model_validate(state.receipt)
    return ResumableAnswer(
        upload_id=state.upload_id,
        total_bytes=state.total_bytes,
        offset_bytes=state.offset_bytes,
        receipt=receipt,
    )


def _describe(response: Response, state: ResumableState) -> None:
    response.headers["Upload-Offset"] = str(state.offset_bytes)
    response.headers["Upload-Length"] = str(state.total_bytes)
    response.headers["Upload-Expires"] = format_datetime(
        state.expires_at.astimezone(UTC), usegmt=True
    )
    response.headers["Cache-Control"] = "no-store"
    if state.receipt:
        response.headers["Visionops-Media-Id"] = str(state.receipt["media_id"])
