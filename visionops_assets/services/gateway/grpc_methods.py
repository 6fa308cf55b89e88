"""The methods of the gateway's gRPC port: KServe's v2 protocol, for plain Triton clients.

A call is authorised, limited, predicted, tried on canaries and counted by the same parts as a
request of HTTP.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from visionops_assets.contracts import Scope
from visionops_assets.contracts.tensors import EMBEDDING
from visionops_assets.errors import (
    MediaError,
    NoModelServedError,
    OverloadedError,
    VisionOpsError,
)
from visionops_assets.services.gateway.admission import (
    MAX_HELD_BYTES,
    RETRY_AFTER_S,
    Admission,
    HeldBytes,
)
from visionops_assets.services.gateway.calls import Call, Method
from visionops_assets.services.gateway.inference import STATUS_TIMEOUT_S, TritonChannel
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.services.gateway.kserve import (
    check_version,
    parsed,
    public_config,
    read_infer,
    write_infer,
)
from visionops_assets.services.gateway.line import Line
from visionops_assets.services.gateway.lists import outcomes_of
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.predictor import Ask, Predictor
from visionops_assets.services.gateway.routes import STICKY_KEY_HEADER
from visionops_assets.services.gateway.served import ServedModels
from visionops_assets.services.gateway.shares import Shares
from visionops_assets.services.http.access import Access, Principal, presented_key
from visionops_assets.settings import Settings

MESSAGE_OVERHEAD_BYTES = 1024**2
"""Room in a message for what is not an image."""


def max_message_bytes(settings: Settings) -> int:
    """Return the limit of a message: all images of a request together may be as large as one."""
    return settings.max_predicted_image_bytes + MESSAGE_OVERHEAD_BYTES


class GrpcMethods:
    """Answers the calls that need a key. It must be used within one event loop."""

    def __init__(
        self,
        access: Access,
        served: ServedModels,
        admission: Admission,
        triton: TritonChannel,
        metrics: GatewayMetrics,
        settings: Settings,
    ) -> None:
        self._access = access
        self._served = served
        self._admission = admission
        self._triton = triton
        self._metrics = metrics
        self._settings = settings
        # A message is in memory before its length is known.
        self._reading = Line(Shares(max(2, MAX_HELD_BYTES // max_message_bytes(settings))))

    def by_name(self) -> Mapping[str, Method]:
        """Return the methods by their names in the protocol."""
        return {
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelInfer": self._model_infer,
        }

    async def _server_metadata(self, call: Call) -> Any:
        await self._admit(call)
        return service_pb2.ServerMetadataResponse(name="visionops")

    async def _model_ready(self, call: Call) -> Any:
        try:
            await self._described(call, service_pb2.ModelReadyRequest, "ModelMetadata")
        except NoModelServedError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    async def _model_metadata(self, call: Call) -> Any:
        return await self._described(call, service_pb2.ModelMetadataRequest, "ModelMetadata")

    async def _model_config(self, call: Call) -> Any:
        return public_config(
            await self._described(call, service_pb2.ModelConfigRequest, "ModelConfig")
        )

    async def _described(self, call: Call, kind: Any, what: Any) -> Any:
        """Ask Triton for what it says of the model that a call names."""
        principal = await self._admit(call)
        with self._admission.held_bytes(principal.name) as held:
            request = parsed(kind, await self._message(call, principal.name, held))
        self._served.find(request.name)
        check_version(request.version)
        allowed_s = min(STATUS_TIMEOUT_S, call.left_s())
        return await self._triton.describe(what, request.name, allowed_s)

    async def _model_infer(self, call: Call) -> Any:
        client = (await self._admit(call)).name
        self._admission.check(client)
        with self._admission.held_bytes(client) as held:
            message = await self._message(call, client, held)
            request = parsed(service_pb2.ModelInferRequest, message)
            predictor = self._served.find(request.model_name).predictor
            check_version(request.model_version)
            asked = read_infer(request, predictor.task)
            allowed_s = min(self._settings.gateway_deadline_s, call.left_s())
            ask = Ask(
                key=call.connection.headers.get(STICKY_KEY_HEADER) or client,
                due_at_s=time.monotonic() + min(allowed_s, asked.timeout_s or allowed_s),
                keep_image=asked.keep_image,
                source=asked.source,
                client=client,
                with_embedding=EMBEDDING.name in asked.outputs,
            )
            rows = await self._rows(predictor, asked.images, ask)
            return write_infer(request, asked.outputs, rows, predictor.task)

    async def _rows(
        self, predictor: Predictor, images: Sequence[bytes], ask: Ask
    ) -> list[Inference]:
        """Predict each image. One that cannot be predicted refuses them all, as Triton does.

        Raises:
            VisionOpsError: the first failure; no image that was not yet asked about is after it.
        """
        failures: list[VisionOpsError] = []

        async def infer(image: bytes) -> Inference:
            if failures:
                raise failures[0]
            try:
                return (await predictor.infer(image, ask)).inference
            except VisionOpsError as error:
                failures.append(error)
                raise

        outcomes = await outcomes_of(infer, self._admission, ask.client, images)
        rows = [outcome for outcome in outcomes if isinstance(outcome, Inference)]
        if len(rows) == len(images):
            return rows
        [error, *_] = failures
        if isinstance(error, MediaError) and len(images) > 1:
            raise type(error)(f"Image {outcomes.index(error)} of the request: {error}")
        raise error

    async def _admit(self, call: Call) -> Principal:
        connection = call.connection
        return await self._access.admit(connection, presented_key(connection), Scope.PREDICT)

    async def _message(self, call: Call, client: str, held: HeldBytes) -> bytes:
        """Read a call's message, once few enough others are being read."""
        patience_s = min(self._settings.body_idle_timeout_s, call.left_s())
        try:
            async with self._reading.turn(client, 1, patience_s):
                message = await call.message(patience_s)
        except TimeoutError:
            self._metrics.count_rejected("memory")
            raise OverloadedError(
                f"Too many requests are on their way. Come again in {RETRY_AFTER_S} s.",
                RETRY_AFTER_S,
            ) from None
        held.add(len(message))
        return message
