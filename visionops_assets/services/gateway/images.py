"""Takes the images out of a request: a raw body, a form, or a list in JSON.

Nothing is spooled to disk, and the memory of all requests is counted.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from visionops_assets.contracts import Record
from visionops_assets.contracts.text import PlainText
from visionops_assets.errors import (
    InvalidRequestError,
    TooLargeError,
    UnsupportedMediaError,
    VisionOpsError,
)
from visionops_assets.services.gateway.admission import HeldBytes
from visionops_assets.services.http.body import body_of, read_json, whole
from visionops_assets.services.http.forms import FormReader, is_form
from visionops_assets.services.http.server import FORM_OVERHEAD_BYTES, FORM_TYPE

MAX_LIST_BODIES = 2
"""A list may have this many times the bytes of the largest image."""
MAX_LIST_IMAGES = 64
ONE_PIXEL_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
"""An image in Base64, for the example of a request."""
JSON_TYPE = "application/json"
RAW_TYPE = "application/octet-stream"

KEEP_IMAGE = (
    "Whether the image is kept, so that it can be trained on once its prediction has a label. "
    "Where no part of a request asks for it, a sample of all images is."
)

SOURCE = (
    "Camera, partner or user that the image is of, named as in uploads. Where filters of the model "
    "are for some sources alone, it decides which of them hold."
)
Source = PlainText | None

_FILE = {"type": "string", "format": "binary", "description": "An encoded image."}
_FILES = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MAX_LIST_IMAGES}
_KEEP = {"type": "string", "enum": ["true", "false"], "default": "false", "description": KEEP_IMAGE}
_ONE_FILE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": _FILE, "keep_image": _KEEP},
}
_MANY_FILES = {
    "type": "object",
    "required": ["files"],
    "properties": {"files": _FILES, "keep_image": _KEEP},
}


def _exact(value: object) -> object:
    """Let JSON's booleans pass, in text too. Pydantic would also take "on" and "1" for true."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError("it is neither true nor false")


Flag = Annotated[bool, BeforeValidator(_exact)]
"""A boolean in a query or a form."""
_FLAG: TypeAdapter[bool] = TypeAdapter(Flag)


class ImageList(Record):
    """Images in JSON, each in Base64."""

    images: list[str] = Field(min_length=1, max_length=MAX_LIST_IMAGES, examples=[[ONE_PIXEL_PNG]])
    keep_image: bool = Field(False, strict=True, description=KEEP_IMAGE)


OPENAPI_IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            RAW_TYPE: {"schema": _FILE},
            "image/*": {"schema": _FILE},
            FORM_TYPE: {"schema": _ONE_FILE},
        },
    }
}
OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            RAW_TYPE: {"schema": _FILE},
            "image/*": {"schema": _FILE},
            FORM_TYPE: {"schema": {"oneOf": [_ONE_FILE, _MANY_FILES]}},
            JSON_TYPE: {"schema": ImageList.model_json_schema()},
        },
    }
}


@dataclass(frozen=True)
class ReceivedImages:
    """The images of a request, or why one of them cannot be used. Of a list or one by itself.

    `keep_image` is what the body said about keeping them.
    """

    images: Sequence[bytes | VisionOpsError]
    is_list: bool
    keep_image: bool = False

    def single(self) -> bytes:
        """Return the image that came by itself.

        Raises:
            VisionOpsError: it cannot be used.
        """
        (image,) = self.images
        if isinstance(image, VisionOpsError):
            raise image
        return image


class ImageReader:
    """Reads the bodies of requests."""

    def __init__(self, max_image_bytes: int, idle_timeout_s: float) -> None:
        self._max_image_bytes = max_image_bytes
        self._max_list_bytes = MAX_LIST_BODIES * max_image_bytes
        self._idle_timeout_s = idle_timeout_s

    async def read(self, request: Request, held: HeldBytes) -> ReceivedImages:
        """Read the images of a request.

        Raises:
            TooLargeError: the body, or an image that came by itself, has too many bytes.
            UnsupportedMediaError: no image can have this content type.
            InvalidRequestError, RequestValidationError: the form or the list cannot be used.
            OverloadedError: there is no memory left for it.
            InvalidLengthError, SlowBodyError: see `body_of`.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == RAW_TYPE or content_type.startswith("image/"):
            image = await whole(self._body(request, held, self._max_image_bytes))
            return ReceivedImages([image], is_list=False)
        if is_form(request):
            body = self._body(request, held, self._max_list_bytes + FORM_OVERHEAD_BYTES)
            return await self._read_form(FormReader(request.headers["content-type"], body))
        if content_type == JSON_TYPE:
            text = await whole(self._body(request, held, self._max_list_bytes))
            # In a thread: a long text would hold up other requests.
            return await asyncio.to_thread(_read_json, text)
        raise UnsupportedMediaError(
            f"Content type {content_type or 'none'!r} is not accepted: send an image's bytes as "
            f"image/* or {RAW_TYPE}, as the field 'file' of a {FORM_TYPE} (several as 'files'), "
            f'or several in Base64 as {JSON_TYPE}: {{"images": [...]}}.'
        )

    async def _body(
        self, request: Request, held: HeldBytes, max_bytes: int
    ) -> AsyncIterator[bytes]:
        body = body_of(request, max_bytes=max_bytes, idle_timeout_s=self._idle_timeout_s)
        async for piece in body:
            held.add(len(piece))
            yield piece

    async def _read_form(self, form: FormReader) -> ReceivedImages:
        images: list[bytes | VisionOpsError] = []
        names: set[str] = set()
        keep_image = False
        while part := await form.next_part():
            if part.name == "keep_image":
                keep_image |= _read_flag(part.name, await form.text(part))
            if part.name not in {"file", "files"}:
                continue
            if part.filename is None:
                raise InvalidRequestError(f"{part.name}: a text, and not a file with a file name.")
            if len(images) == MAX_LIST_IMAGES:
                raise InvalidRequestError(f"files: more than {MAX_LIST_IMAGES}. Send two lists.")
            names.add(part.name)
            images.append(await self._read_part(form))
        if names == {"files"}:
            return ReceivedImages(images, is_list=True, keep_image=keep_image)
        if names != {"file"} or len(images) > 1:
            raise InvalidRequestError("The form needs one image as 'file', or several as 'files'.")
        return ReceivedImages(images, is_list=False, keep_image=keep_image)

    async def _read_part(self, form: FormReader) -> bytes | VisionOpsError:
        image = bytearray()
        async for chunk in form.chunks():
            image += chunk
            if len(image) > self._max_image_bytes:
                return TooLargeError(f"The image has more than {self._max_image_bytes:,} bytes.")
        return bytes(image)


def _read_json(text: bytes) -> ReceivedImages:
    listed = read_json(ImageList, text)
    images = [_decoded(image) for image in listed.images]
    return ReceivedImages(images, is_list=True, keep_image=listed.keep_image)


def _read_flag(name: str, text: str) -> bool:
    """Read a field of a form as the query's parameters are read.

    Raises:
        InvalidRequestError: it is neither true nor false.
    """
    try:
        return _FLAG.validate_python(text)
    except ValidationError:
        raise InvalidRequestError(f"{name}: neither true nor false.") from None


def _decoded(text: str) -> bytes | VisionOpsError:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return InvalidRequestError("The image is not in Base64 (RFC 4648, section 4).")
