"""Uploads in one request: a raw body, a form with one file, or a form with a batch of files."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from prometheus_client import Counter, Histogram

from visionops_assets.contracts import Scope
from visionops_assets.errors import VisionOpsError
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.problems import problems
from visionops_assets.services.http.server import FORM_TYPE
from visionops_assets.services.ingest.answers import BatchAnswer, UploadReceipt
from visionops_assets.services.ingest.counting import MAX_BATCH_FILES
from visionops_assets.services.ingest.fields import MediaFields, UploadQuery
from visionops_assets.services.ingest.intake import Intake

UPLOADS_TAG = Tag("uploads", "Files in one request: one, or a batch.")
UPLOADS = Counter(
    "visionops_uploads", "Uploads by outcome: stored, duplicate, or why not.", ["outcome"]
)
UPLOADED_BYTES = Counter("visionops_uploaded_bytes", "Bytes of media that were acknowledged.")
UPLOAD_SECONDS = Histogram(
    "visionops_upload_seconds", "From the head of the request to the acknowledgement."
)
REPLAYED_HEADER = "Idempotent-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Send it again with the same request to get the same answer.",
    ),
]


def _body_schema(own: dict[str, Any], **other_types: Any) -> dict[str, Any]:
    """Describe a form of these fields, and of the facts about its files."""
    fields = MediaFields.model_json_schema()["properties"]
    schema = {
        "type": "object",
        "required": ["file"],
        "properties": own | fields,
        "additionalProperties": False,
    }
    content = {FORM_TYPE: {"schema": schema}} | other_types
    return {"requestBody": {"required": True, "content": content}}


def _own_facts() -> dict[str, Any]:
    """Describe what is said of one file of a batch."""
    schema = UploadQuery.model_json_schema()
    for field in schema["properties"].values():
        del field["default"]  # The facts about all files hold in its place.
    return schema


_FILE = {"type": "string", "format": "binary", "description": "An image or a video."}
UPLOAD_BODY = _body_schema({"file": _FILE}, **{"application/octet-stream": {"schema": _FILE}})
_FILES = {
    "type": "array",
    "items": _FILE,
    "minItems": 1,
    "description": f"At most {MAX_BATCH_FILES}.",
}
_ABOUT = {
    "type": "array",
    "items": _own_facts(),
    "description": "None, or one for each `file`, in their order: its own facts, as JSON. They "
    "replace those of all files.",
}
BATCH_BODY = _body_schema({"file": _FILES, "about": _ABOUT})
_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


def media_routes(access: Access, intake: Intake) -> APIRouter:
    """Build the routes that take media in."""
    router = APIRouter(prefix="/v1/media", tags=[UPLOADS_TAG.name], responses=_PROBLEMS)

    @router.post("", status_code=201, summary="Upload a file", openapi_extra=UPLOAD_BODY)
    async def upload_media(
        request: Request,
        response: Response,
        query: Annotated[UploadQuery, Query()],
        principal: Annotated[Principal, Depends(access.require(Scope.INGEST))],
        idempotency_key: IdempotencyKey = None,
    ) -> UploadReceipt:
        """Store one image or video. After a 201 it will be processed, whatever crashes.

        Send a form with `file`, and `source`, `captured_at` and `label` beside it; or the bytes by
        themselves, with the same fields in the query.
        """
        try:
            with UPLOAD_SECONDS.time():
                answer = await intake.one(request, query, principal, idempotency_key)
        except VisionOpsError as error:
            UPLOADS.labels(error.code).inc()
            raise
        (receipt,) = answer.receipts
        _count(receipt)
        if answer.replayed:
            response.headers[REPLAYED_HEADER] = "true"
        return receipt

    @router.post(
        "/batch", status_code=207, summary="Upload several files", openapi_extra=BATCH_BODY
    )
    async def upload_batch(
        request: Request,
        response: Response,
        query: Annotated[MediaFields, Query()],
        principal: Annotated[Principal, Depends(access.require(Scope.INGEST))],
        idempotency_key: IdempotencyKey = None,
    ) -> BatchAnswer:
        """Store those of several files that can be used, all or none of them.

        The form holds several `file`. One that is refused does not stop the others: it has a
        refusal where they have a receipt. Facts about one file alone are said in an `about` for
        each, such as `{"filename": "a.png", "captured_at": "2026-01-31T12:00:00Z"}`.
        """
        answer, replayed = await intake.batch(request, query, principal, idempotency_key)
        if replayed:
            response.headers[REPLAYED_HEADER] = "true"
        for result in answer.results:
            if result.receipt:
                _count(result.receipt)
            elif result.refusal:
                UPLOADS.labels(result.refusal.code).inc()
        return answer

    return router


def _count(receipt: UploadReceipt) -> None:
    UPLOADS.labels("duplicate" if receipt.duplicate else "stored").inc()
    UPLOADED_BYTES.inc(receipt.bytes)
