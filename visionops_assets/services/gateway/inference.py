"""One Triton server as the gateway asks it: over gRPC, without blocking, at least cost.

The requests are Triton's own messages. With tritonclient's `InferInput`, a call takes half as much
CPU time again. Only outputs that clients get are asked for. Not here: which model to ask, and
what to do when it does not answer.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import InferenceServerException

from visionops_assets.errors import (
    DeadlineExceededError,
    NoModelServedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.resources.triton import CHANNEL_OPTIONS
from visionops_assets.resources.triton_errors import to_visionops_error
from visionops_assets.services.gateway.inferred import (
    Inference,
    inference_of,
    tensors_of,
    version_of,
)
from visionops_assets.services.gateway.requests import infer_request
from visionops_assets.tasks.registry import serving

STATUS_TIMEOUT_S = 5.0
ASKED_AGAIN_AFTER_S = (0.05, 0.2)
"""The channel needs this time to notice that a connection is gone, and to make another."""
ASKED_OF_FEW, ASKED_OF_MANY = 4, 32
"""How often servers are asked for a model before none has it.

While a release goes from server to server, only some of them have a version. Each time another one
is asked, but other requests take turns in between. With 32 questions one of two servers is not
missed.
"""
RECENT_S = 5.0
"""If a server had the model within this time, servers are asked `ASKED_OF_MANY` times."""

_STOPPING = "Server is stopping"
"""A server that ends says so to new requests, for as long as it answers those that it has."""
_SILENT = "The model server does not answer. Try again soon."
_TOO_LATE = "The model server did not answer in time. Allow it more time, or try again later."
_log = logging.getLogger(__name__)
_OPTIONS = [
    *CHANNEL_OPTIONS,
    # A name may resolve to several servers: these are replicas.
    ("grpc.lb_policy_name", "round_robin"),
    # When one is lost, others may have come since the name was resolved. The default is 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]


class TritonChannel:
    """A channel to Triton, whose models are of any task.

    It must be made and used within one event loop.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stub: Any = None
        self._classes: dict[tuple[str, int], tuple[str, ...]] = {}
        self._answered_at_s: dict[str, float] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold the channel for the length of the block. Triton may come up later."""
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            self._stub = GRPCInferenceServiceStub(channel)
            yield

    async def check(self) -> None:
        """Ask whether Triton answers. It may have no model yet.

        Raises:
            ServerUnreachableError: it does not.
        """
        request = service_pb2.ServerLiveRequest()
        due_at_s = time.monotonic() + STATUS_TIMEOUT_S
        await self._call("", self._stub.ServerLive, lambda _: request, due_at_s)

    async def infer(
        self,
        model: str,
        image: bytes,
        timeout_s: float,
        *,
        task: str,
        record: bool = True,
        keep_image: bool = False,
        source: str = "",
        with_embedding: bool = False,
    ) -> Inference:
        """Ask for the prediction of one encoded image, and again if a server dies meanwhile.

        Another server is asked where one has no version of the model. A prediction changes nothing:
        a dying server may leave one more record of it, and no more.
        `task` is the model's. With `record` off it is not published, since nobody gets it. With
        `keep_image` on it is published with its image. `source` decides which filters hold for it.

        Raises:
            MediaError: the image cannot be used.
            NoModelServedError: no server that was asked has a version of the model.
            OverloadedError: too many requests wait in Triton.
            ServerUnreachableError: Triton does not answer.
            DeadlineExceededError: it took longer than `timeout_s`.
        """
        due_at_s = time.monotonic() + timeout_s
        while True:
            answer = await self._of_any(
                model,
                self._stub.ModelInfer,
                lambda left_s: infer_request(
                    model, image, task, left_s, record, keep_image, source, with_embedding
                ),
                due_at_s,
            )
            tensors = tensors_of(answer)
            version = version_of(tensors)
            classes = await self._classes_of(model, version, due_at_s)
            if classes is not None:
                break
            # The version was replaced a moment ago: its successor names its classes.
        return inference_of(serving(task), tensors, classes)

    async def describe(
        self, what: Literal["ModelMetadata", "ModelConfig"], model: str, timeout_s: float
    ) -> Any:
        """Ask for a model's metadata or configuration, as Triton's own message.

        Raises:
            NoModelServedError, ServerUnreachableError, DeadlineExceededError: see `infer`.
        """
        request = getattr(service_pb2, f"{what}Request")(name=model)
        due_at_s = time.monotonic() + timeout_s
        return await self._of_any(model, getattr(self._stub, what), lambda _: request, due_at_s)

    async def _classes_of(
        self, model: str, version: int, due_at_s: float
    ) -> tuple[str, ...] | None:
        """Return the class names of a version, in the order of its outputs. Triton is asked once.

        Returns None if no server that was asked has the version.
        """
        known = self._classes.get((model, version))
        if known is not None:
            return known
        request = service_pb2.ModelConfigRequest(name=model, version=str(version))
        try:
            answer = await self._of_any(model, self._stub.ModelConfig, lambda _: request, due_at_s)
        except NoModelServedError:
            return None
        classes = tuple(json.loads(answer.config.parameters["classes"].string_value))
        self._classes[model, version] = classes
        return classes

    async def _of_any(
        self, model: str, method: Any, make_request: Callable[[float], Any], due_at_s: float
    ) -> Any:
        """Call a method of one server after the other, while they have no such model, or stop.

        The channel takes its servers in turn.
        """
        asked = 0
        while True:
            try:
                answer = await self._call(model, method, make_request, due_at_s)
            except (NoModelServedError, _StoppingError):
                asked += 1
                silent_s = time.monotonic() - self._answered_at_s.get(model, -math.inf)
                if asked >= (ASKED_OF_MANY if silent_s < RECENT_S else ASKED_OF_FEW):
                    raise
            else:
                self._answered_at_s[model] = time.monotonic()
                return answer

    async def _call(
        self, model: str, method: Any, make_request: Callable[[float], Any], due_at_s: float
    ) -> Any:
        """Call a method, and again if the server dies meanwhile: another server may answer."""
        for pause_s in ASKED_AGAIN_AFTER_S:
            try:
                return await self._call_once(model, method, make_request, due_at_s)
            except _StoppingError:
                raise
            except ServerUnreachableError:
                if time.monotonic() + pause_s >= due_at_s:
                    raise
            await asyncio.sleep(pause_s)
        return await self._call_once(model, method, make_request, due_at_s)

    async def _call_once(
        self, model: str, method: Any, make_request: Callable[[float], Any], due_at_s: float
    ) -> Any:
        left_s = due_at_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceededError(_TOO_LATE, public=True)
        try:
            return await method(make_request(left_s), timeout=left_s)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, model) from error

    def _translated(self, error: grpc.aio.AioRpcError, model: str) -> VisionOpsError:
        detail = error.details() or ""
        spoken = InferenceServerException(detail, status=str(error.code()))
        translated = to_visionops_error(spoken, model, address=self._address)
        # Triton's address is only for the log: the gateway's clients may be anybody.
        match translated:
            case ServerUnreachableError() if _STOPPING in detail:
                return _StoppingError(_SILENT, public=True)
            case ServerUnreachableError():
                _log.warning("%s", translated)
                return ServerUnreachableError(_SILENT, public=True)
            case DeadlineExceededError():
                return DeadlineExceededError(_TOO_LATE, public=True)
        return translated


class _StoppingError(ServerUnreachableError):
    """A server takes no more requests; another one may."""
