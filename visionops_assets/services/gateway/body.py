"""Reads the image out of a request: a raw body, or the field `file` of a form."""

from fastapi import Request
from starlette.datastructures import UploadFile

from visionops_assets.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from visionops_assets.services.http_server import FORM_OVERHEAD_BYTES, FORM_TYPE

MAX_IMAGE_BYTES = 32 * 1024**2
"""A body is held in memory while it is predicted; larger files belong to the ingest API."""

OPENAPI_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


async def read_image(request: Request) -> bytes:
    """Return the bytes of the encoded image that was sent.

    Raises:
        TooLargeError: more than `MAX_IMAGE_BYTES`.
        UnsupportedMediaError: the content type is none that can hold an image.
        InvalidRequestError: a form without the field `file`.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == FORM_TYPE:
        return await _read_form(request)
    if content_type == "application/octet-stream" or content_type.startswith("image/"):
        return await _read_raw(request)
    raise UnsupportedMediaError(
        f"Content type {content_type or 'none'!r} is not accepted: send the image's bytes as "
        f"image/* or application/octet-stream, or as the field 'file' of a {FORM_TYPE}."
    )


async def _read_raw(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_IMAGE_BYTES:
            raise _too_large()
    return bytes(body)


async def _read_form(request: Request) -> bytes:
    declared_bytes = request.headers.get("content-length")
    if declared_bytes is None:
        raise InvalidRequestError("A form needs a Content-Length; a raw body does without.")
    if int(declared_bytes) > MAX_IMAGE_BYTES + FORM_OVERHEAD_BYTES:
        raise _too_large()
    async with request.form(max_files=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequestError("The form has no file in its field 'file'.")
        image = await file.read()
    if len(image) > MAX_IMAGE_BYTES:
        raise _too_large()
    return image


def _too_large() -> TooLargeError:
    return TooLargeError(f"The image is larger than {MAX_IMAGE_BYTES} bytes. Send a smaller one.")
