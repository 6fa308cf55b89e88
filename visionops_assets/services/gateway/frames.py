"""`POST /v1/frame`: an image as the network sees it, decoded in a sandbox as all foreign files."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import find_snapshot
from visionops_assets.contracts import MediaKind, PreprocessingSpec, Scope
from visionops_assets.errors import (
    EmptyMediaError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
)
from visionops_assets.services.gateway.admission import RETRY_AFTER_S, Admission
from visionops_assets.services.gateway.images import (
    OPENAPI_IMAGE,
    SOURCE,
    ImageReader,
    Source,
)
from visionops_assets.services.gateway.predictor import HEADER_BYTES
from visionops_assets.services.gateway.routes import PREDICT_PROBLEMS, PREDICTIONS
from visionops_assets.services.gateway.shares import Shares
from visionops_assets.services.http.access import Access, Principal
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.sandbox.decoder import DecoderSandbox

PNG_TYPE = "image/png"
MAX_WAITING = 8
"""Images of all keys that may be decoded or wait for it. One is decoded at a time."""
MAX_SPECS = 64

_PNG_ANSWER: dict[str, Any] = {
    "content": {PNG_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    "description": "The frame as PNG, of the size that the network takes.",
}


class FrameMaker:
    """Makes frames of images in one sandboxed child, which starts with the first of them."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._sandbox: DecoderSandbox | None = None
        self._opened = ExitStack()
        # Only one: a sandbox is for one thread, and predictions need the CPU.
        self._thread = ThreadPoolExecutor(1, "frames")
        self._waiting = Shares(MAX_WAITING)
        self._spec_of = lru_cache(MAX_SPECS)(self._find_spec)

    def close(self) -> None:
        """End the child."""
        self._thread.shutdown(cancel_futures=True)
        self._opened.close()

    async def frame(self, image: bytes, snapshot_id: str, source: str, client: str) -> bytes:
        """Return an image as PNG, as a network that learned from this snapshot sees it.

        Filters are those for its source. `client` is the name of the API key that asks.

        Raises:
            NotFoundError: there is no such snapshot.
            MediaError: the image cannot be used.
            OverloadedError: too many images wait already.
            ServerUnreachableError: the catalog does not answer.
        """
        if not image:
            raise EmptyMediaError("The image is empty.")
        check_image_header(
            image[:HEADER_BYTES], max_pixels=self._settings.max_predicted_image_pixels
        )
        if not self._waiting.fits(client):
            raise OverloadedError(
                f"{self._waiting.held} frames are being made, and your share of {MAX_WAITING} is "
                f"taken. Come again in {RETRY_AFTER_S} s.",
                RETRY_AFTER_S,
            )
        self._waiting.take(client)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._make, image, snapshot_id, source)
        finally:
            self._waiting.give(client)

    def _make(self, image: bytes, snapshot_id: str, source: str) -> bytes:
        spec = self._spec_of(snapshot_id).for_source(source)
        with NamedTemporaryFile(prefix="frame-") as file:
            file.write(image)
            file.flush()
            (frame,) = self._child().decode(Path(file.name), MediaKind.IMAGE, spec)
        return frame.encoded

    def _child(self) -> DecoderSandbox:
        if self._sandbox is None:
            sandbox = DecoderSandbox(
                timeout_s=min(self._settings.decode_timeout_s, self._settings.gateway_deadline_s),
                memory_bytes=self._settings.decode_memory_bytes,
                max_pixels=self._settings.max_predicted_image_pixels,
                max_video_duration_s=self._settings.max_video_duration_s,
            )
            self._sandbox = self._opened.enter_context(sandbox)
        return self._sandbox

    def _find_spec(self, snapshot_id: str) -> PreprocessingSpec:
        with self._catalog.begin() as session:
            snapshot = find_snapshot(session, snapshot_id)
        if snapshot is None:
            raise NotFoundError(f"There is no snapshot {snapshot_id!r}. A prediction names one.")
        spec = PreprocessingSpec.model_validate(snapshot.spec)
        # However frames are stored, an image that is asked about is not.
        return spec.model_copy(update={"jpeg_quality": None})


def add_frame_route(
    app: FastAPI, access: Access, frames: FrameMaker, admission: Admission, settings: Settings
) -> None:
    """Add the route of frames."""
    reader = ImageReader(settings.max_predicted_image_bytes, settings.body_idle_timeout_s)

    @app.post(
        "/v1/frame",
        tags=[PREDICTIONS.name],
        summary="See an image as the network does",
        response_class=Response,
        responses={
            **PREDICT_PROBLEMS,
            **problems(HTTPStatus.NOT_FOUND),
            HTTPStatus.OK: _PNG_ANSWER,
        },
        openapi_extra=OPENAPI_IMAGE,
    )
    async def frame(
        request: Request,
        principal: Annotated[Principal, Depends(access.require(Scope.PREDICT))],
        snapshot_id: Annotated[
            str,
            Query(
                pattern=r"^[A-Za-z0-9._-]{1,100}$",
                description="That of the version, as a prediction names it.",
            ),
        ],
        source: Annotated[Source, Query(description=SOURCE)] = None,
    ) -> Response:
        """Return one image as the network sees it: upright, in its colours and of its size.

        It is preprocessed as the frames of this snapshot were. So a version that learned from them
        sees it like this.
        """
        with admission.held_bytes(principal.name) as held:
            received = await reader.read(request, held)
            if received.is_list:
                raise InvalidRequestError("Send one image at a time: raw, or as 'file'.")
            png = await frames.frame(received.single(), snapshot_id, source or "", principal.name)
            return Response(png, media_type=PNG_TYPE)
