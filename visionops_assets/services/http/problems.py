"""Errors as HTTP answers: RFC 9457 problem documents, alike in every service.

Only here error codes meet HTTP status codes. And only here it is chosen what a failure tells
clients.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from visionops_assets.errors import (
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    SlowBodyError,
    UnauthenticatedError,
    VisionOpsError,
)
from visionops_assets.redaction import for_clients, redacted

PROBLEM_TYPE = "application/problem+json"

STATUS_BY_CODE: dict[str, HTTPStatus] = {
    "invalid_request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "not_found": HTTPStatus.NOT_FOUND,
    "unknown_model": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown_class": HTTPStatus.UNPROCESSABLE_ENTITY,
    "upload_expired": HTTPStatus.REQUEST_TIMEOUT,
    "invalid_media": HTTPStatus.UNPROCESSABLE_ENTITY,
    "forgotten": HTTPStatus.UNPROCESSABLE_ENTITY,
    "empty": HTTPStatus.UNPROCESSABLE_ENTITY,
    "corrupt": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_many_pixels": HTTPStatus.UNPROCESSABLE_ENTITY,
    "no_video_stream": HTTPStatus.UNPROCESSABLE_ENTITY,
    "no_frames": HTTPStatus.UNPROCESSABLE_ENTITY,
    "decoder_crashed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "missing": HTTPStatus.UNPROCESSABLE_ENTITY,
    "altered": HTTPStatus.UNPROCESSABLE_ENTITY,
    "damaged_shard": HTTPStatus.INTERNAL_SERVER_ERROR,
    "damaged_artifact": HTTPStatus.INTERNAL_SERVER_ERROR,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported_codec": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported_encoding": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_long": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid_content_length": HTTPStatus.BAD_REQUEST,
    "slow_body": HTTPStatus.REQUEST_TIMEOUT,
    "idempotency_key_reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "offset_conflict": HTTPStatus.CONFLICT,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "label_forbidden": HTTPStatus.FORBIDDEN,
    "ambiguous_media": HTTPStatus.CONFLICT,
    "nothing_to_claim": HTTPStatus.CONFLICT,
    "claim_of_another": HTTPStatus.CONFLICT,
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "overloaded": HTTPStatus.TOO_MANY_REQUESTS,
    "quota_exceeded": HTTPStatus.TOO_MANY_REQUESTS,
    "server_unreachable": HTTPStatus.SERVICE_UNAVAILABLE,
    "deadline_exceeded": HTTPStatus.GATEWAY_TIMEOUT,
    "no_model_served": HTTPStatus.SERVICE_UNAVAILABLE,
    "publish_failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "refused": HTTPStatus.BAD_GATEWAY,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "invalid_settings": HTTPStatus.INTERNAL_SERVER_ERROR,
    "stack_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "log_truncated": HTTPStatus.INTERNAL_SERVER_ERROR,
    "missing_codec": HTTPStatus.INTERNAL_SERVER_ERROR,
    "no_room": HTTPStatus.INTERNAL_SERVER_ERROR,
    "snapshot_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "gate_refused": HTTPStatus.INTERNAL_SERVER_ERROR,
    "release_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "untrusted_artifact": HTTPStatus.INTERNAL_SERVER_ERROR,
    "rollout_refused": HTTPStatus.INTERNAL_SERVER_ERROR,
    "content_changed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "erasure_forbidden": HTTPStatus.INTERNAL_SERVER_ERROR,
    "object_exists": HTTPStatus.INTERNAL_SERVER_ERROR,
    "backup_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
}

UNTOLD = "Something went wrong here. It is in this service's log."
# Clients are told this of our failures: other messages name servers, paths and keys.
_TOLD_BY_CODE = {
    "server_unreachable": "A server that this service needs does not answer. Try again soon.",
    "deadline_exceeded": "A server that this service needs did not answer in time. Try again.",
    "no_model_served": "No model is served now. Try again soon.",
    "publish_failed": "The queue took nothing for now. Try again soon.",
}

# Refusals of the framework itself, by its status.
_CODE_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

_RETRY_AFTER_S = 5

_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """The body of each answer to a request that failed (RFC 9457)."""

    type: str = Field(description="A URN made of the code.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="Says what was wrong, and what to do.")
    code: str = Field(description="Stable: programs may rely on it.")


def install_problem_handlers(app: FastAPI) -> None:
    """Make `app` answer every error as `application/problem+json`, never with a stack trace."""
    app.exception_handler(VisionOpsError)(_on_visionops_error)
    app.exception_handler(RequestValidationError)(_on_validation_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(Exception)(_on_unexpected)


def status_of(error: VisionOpsError) -> HTTPStatus:
    """Return the status of the answer for this error."""
    return STATUS_BY_CODE.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def detail_of(error: VisionOpsError) -> str:
    """Return the message of an error for a client: without addresses, paths or secrets of ours."""
    if status_of(error) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return redacted(str(error))
    return for_clients(str(error)) if error.public else _TOLD_BY_CODE.get(error.code, UNTOLD)


def retry_after_s(error: VisionOpsError) -> int | None:
    """Return after how many seconds to come again, or None where that would be of no use."""
    if isinstance(error, RateLimitedError | OverloadedError):
        return error.retry_after_s
    return _RETRY_AFTER_S if status_of(error) == HTTPStatus.SERVICE_UNAVAILABLE else None


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Describe these answers for OpenAPI: the `responses` of a route."""
    schema = Problem.model_json_schema()
    return {
        int(status): {
            "description": status.phrase,
            "content": {PROBLEM_TYPE: {"schema": schema, "example": _example(status)}},
        }
        for status in statuses
    }


def _example(status: HTTPStatus) -> dict[str, Any]:
    """Return an example of a problem with this status, by the first code that has it."""
    code = next((code for code, s in STATUS_BY_CODE.items() if s == status), "invalid_request")
    return _problem(status, code, "Says what was wrong, and what to do.").model_dump()


def _problem(status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:visionops:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=int(status),
        detail=detail,
        code=code,
    )


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the answer that holds one `Problem`."""
    body = _problem(status, code, detail)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(_RETRY_AFTER_S), **(headers or {})}
    return JSONResponse(
        body.model_dump(), status_code=status, headers=headers, media_type=PROBLEM_TYPE
    )


def _on_visionops_error(_: Request, error: VisionOpsError) -> JSONResponse:
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", error.code, error)
    return problem(status, error.code, detail_of(error), _headers_of(error))


def _headers_of(error: VisionOpsError) -> dict[str, str] | None:
    match error:
        case UnauthenticatedError():
            return {"WWW-Authenticate": "Bearer"}
        case RateLimitedError() | OverloadedError():
            return {"Retry-After": str(error.retry_after_s)}
        case SlowBodyError():
            # Otherwise the body could trickle on, and hold the connection for ever.
            return {"Connection": "close"}
        case _:
            return None


def _on_validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
    # A location is ("body" | "query" | "path", field, ...). The caller knows the field.
    details = []
    for invalid in error.errors():
        field = ".".join(map(str, invalid["loc"][1:])) or invalid["loc"][0]
        details.append(f"{field}: {invalid['msg'].removeprefix('Value error, ')}")
    code = InvalidRequestError.code
    return problem(STATUS_BY_CODE[code], code, "; ".join(details))


def _on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    code = _CODE_BY_STATUS.get(error.status_code, InvalidRequestError.code)
    detail = str(error.detail)
    if detail == HTTPStatus(error.status_code).phrase:
        detail = f"{detail}: {request.method} {request.url.path}."
    response = problem(error.status_code, code, detail)
    response.headers.update(error.headers or {})
    return response


def _on_unexpected(_request: Request, _error: Exception) -> JSONResponse:
    # The framework raises the error again after this answer, so the server logs its traceback.
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        VisionOpsError.code,
        UNTOLD,
    )
