"""`/v1/stream`: a WebSocket on which frames come in and predictions go out, in the same order.

Each binary message is an encoded image, each answer a text message that holds a `FrameResult`. This
module decides who may open a stream, and predicts its frames; the connection itself is in
`stream.py`.
"""

import asyncio
import logging
import time

from fastapi import WebSocket
from pydantic import ValidationError

from visionops_assets.contracts import Scope
from visionops_assets.errors import (
    ForbiddenError,
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    ServerUnreachableError,
    UnauthenticatedError,
    VisionOpsError,
)
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.answers import FrameResult, Refusal
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.predictor import Ask, Predictor
from visionops_assets.services.gateway.routes import STICKY_KEY_HEADER, PredictQuery
from visionops_assets.services.gateway.served import ServedModels
from visionops_assets.services.gateway.shares import Shares
from visionops_assets.services.gateway.stream import GOING_AWAY, POLICY_VIOLATION, Stream
from visionops_assets.services.http.access import Access, Principal, presented_key
from visionops_assets.services.http.problems import problem
from visionops_assets.settings import Settings

DRAIN_S = 5.0
RECHECK_S = 3.0
"""Time between two checks of a stream's key, even if no frame comes."""

_log = logging.getLogger(__name__)


class Streams:
    """The streams of one gateway."""

    def __init__(
        self,
        access: Access,
        served: ServedModels,
        admission: Admission,
        metrics: GatewayMetrics,
        settings: Settings,
    ) -> None:
        self._access = access
        self._served = served
        self._admission = admission
        self._metrics = metrics
        self._settings = settings
        self._open: set[Stream] = set()
        self._shares = Shares(settings.gateway_max_in_flight)
        self._is_draining = False
        metrics.watch("streams", "Streams that are open.", lambda: len(self._open))

    async def serve(self, websocket: WebSocket) -> None:
        """Handle one connection, from its handshake to its end."""
        try:
            predictor, principal, query = await self._admit(websocket)
        except VisionOpsError as error:
            refusal = Refusal.of(error)
            answer = problem(refusal.status, refusal.code, refusal.detail)
            await websocket.send_denial_response(answer)
            return
        sticky_key = websocket.headers.get(STICKY_KEY_HEADER)

        async def predict(frame: bytes, sequence: int) -> FrameResult:
            ask = query.ask(principal.name, sticky_key, self._settings)
            return await self._predict(predictor, websocket, frame, sequence, ask)

        stream = Stream(websocket, predict)
        self._open.add(stream)
        self._shares.take(principal.name)
        started_s = time.monotonic()
        watching = asyncio.create_task(self._watch(websocket, stream))
        try:
            await websocket.accept()
            await stream.run()
        finally:
            watching.cancel()
            self._open.discard(stream)
            self._shares.give(principal.name)
            fields = {
                "key": principal.prefix,
                "frames": stream.frames,
                "seconds": round(time.monotonic() - started_s, 1),
            }
            _log.info("stream", extra={"fields": fields})

    async def _watch(self, websocket: WebSocket, stream: Stream) -> None:
        """Close the stream when its key is no longer valid, also if no frame comes."""
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self._access.recheck(websocket, presented_key(websocket), Scope.PREDICT)
            except (UnauthenticatedError, ForbiddenError, RateLimitedError) as error:
                stream.stop(POLICY_VIOLATION, error.code)
                return
            except VisionOpsError:
                continue  # The catalog is away, so nobody knows: the stream goes on.

    async def drain(self) -> None:
        """Take no more frames, answer those that came, and close the streams."""
        self._is_draining = True
        for stream in self._open:
            stream.stop(GOING_AWAY, "The gateway stops. Connect again.")
        deadline_s = time.monotonic() + DRAIN_S
        while self._open and time.monotonic() < deadline_s:
            await asyncio.sleep(0.02)

    async def _admit(self, websocket: WebSocket) -> tuple[Predictor, Principal, PredictQuery]:
        principal = await self._access.admit(websocket, presented_key(websocket), Scope.PREDICT)
        if self._is_draining:
            raise ServerUnreachableError("This gateway stops. Connect again.", public=True)
        if not self._shares.fits(principal.name):
            self._metrics.count_rejected("streams")
            raise OverloadedError(
                f"{self._shares.held} streams are open, and your share of {self._shares.total} is "
                "taken. Close one, or come again later."
            )
        try:
            query = PredictQuery.model_validate(dict(websocket.query_params))
        except ValidationError as error:
            named = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())
            raise InvalidRequestError(named) from None
        return self._served.find(websocket.path_params.get("name")).predictor, principal, query

    async def _predict(
        self, predictor: Predictor, websocket: WebSocket, frame: bytes, sequence: int, ask: Ask
    ) -> FrameResult:
        """Predict one frame, which counts as a request of its key.

        Raises:
            UnauthenticatedError, ForbiddenError: the key was revoked since.
        """
        try:
            await self._access.admit(websocket, presented_key(websocket), Scope.PREDICT)
            with self._admission.held_bytes(ask.client) as held:
                held.add(len(frame))
                async with self._admission.place_of_stream(ask.client):
                    prediction = await predictor.predict(frame, ask)
        except (UnauthenticatedError, ForbiddenError):
            raise
        except VisionOpsError as error:
            self._metrics.count_frame(error.code)
            return FrameResult(sequence=sequence, refusal=Refusal.of(error))
        self._metrics.count_frame("predicted")
        return FrameResult(sequence=sequence, prediction=prediction)
