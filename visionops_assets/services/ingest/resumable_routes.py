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
from visionops_assets.services.access import PROTECTED, Access, Principal
from visionops_assets.services.body import body_of
from visionops_assets.services.ingest.answers import UploadReceipt
from visionops_assets.services.ingest.fields import UploadQuery
from visionops_assets.services.ingest.resumable import ResumableUploads
from visionops_assets.services.problems import problems
from visionops_assets.settings import Settings

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


class ResumableAnswer(Record):
    """Where a resumable upload stands; it has a receipt once it is complete."""

    upload_id: UUID
    total_bytes: int
    offset_bytes: int
    receipt: UploadReceipt | None


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
    router = APIRouter(prefix="/v1/uploads", responses=PROTECTED | _INVALID)
    client = Annotated[Principal, Depends(access.require(Scope.INGEST))]
    tus = [Depends(_speaks_tus)]
    # An empty file has a refusal of its own, so the framework lets it pass.
    most = {"minimum": 1, "maximum": settings.max_upload_bytes}
    length = Annotated[
        int, Header(ge=0, description="Bytes of the whole file.", json_schema_extra=most)
    ]
    position = Annotated[int, Header(ge=0, description="Where the body begins in the file.")]

    @router.options("", status_code=204)
    async def capabilities() -> Response:
        """Tell what of tus is spoken here."""
        headers = {
            "Tus-Resumable": TUS_VERSION,
            "Tus-Version": TUS_VERSION,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(settings.max_upload_bytes),
        }
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

    @router.post("", status_code=201, dependencies=tus, responses=_BEGIN_PROBLEMS)
    async def begin_upload(
        request: Request,
        response: Response,
        principal: client,
        upload_length: length,
        upload_metadata: Annotated[
            str, Header(description="`filename`, `source`, `captured_at`, `label`, in Base64.")
        ] = "",
    ) -> ResumableAnswer:
        """Begin a resumable upload; `Location` says where its bytes go."""
        fields = fields_of(upload_metadata)
        state = await uploads.create(principal.name, upload_length, fields)
        response.headers["Location"] = f"{request.url.path}/{state.upload_id}"
        _describe(response, state)
        return _answer(state)

    @router.head("/{upload_id}", dependencies=tus, responses=_OTHER_VERSION | _UNKNOWN)
    async def find_offset(upload_id: UUID, response: Response, principal: client) -> None:
        """Tell where to go on."""
        _describe(response, await uploads.state(upload_id, principal.name))

    @router.patch(
        "/{upload_id}",
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
        """Send the next bytes. With the last ones, a 204 acknowledges the whole file."""
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
        _describe(response, await uploads.write(state, principal.name, body))

    @router.delete(
        "/{upload_id}", status_code=204, dependencies=tus, responses=_OTHER_VERSION | _UNKNOWN
    )
    async def end_upload(upload_id: UUID, principal: client) -> None:
        """Give an upload up. A media file that it became stays."""
        await uploads.delete(await uploads.state(upload_id, principal.name))

    @router.get("/{upload_id}", responses=_UNKNOWN)
    async def upload_state(upload_id: UUID, principal: client) -> ResumableAnswer:
        """Tell where an upload stands, and its receipt once it is complete."""
        return _answer(await uploads.state(upload_id, principal.name))

    return router


def fields_of(metadata: str) -> UploadQuery:
    """Read `Upload-Metadata`: pairs of a key and a Base64 value. Keys that say nothing here pass.

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
