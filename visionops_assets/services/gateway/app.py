"""Builds the gateway's application from its parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from visionops_assets.catalog.connection import Catalog
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.browser import add_page
from visionops_assets.services.gateway.frames import FrameMaker, add_frame_route
from visionops_assets.services.gateway.grpc_door import GrpcDoor
from visionops_assets.services.gateway.grpc_methods import GrpcMethods
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.predictor import Predictor
from visionops_assets.services.gateway.rollouts import RolloutWatch
from visionops_assets.services.gateway.routes import (
    LABELS,
    PREDICTIONS,
    add_label_route,
    add_predict_route,
)
from visionops_assets.services.gateway.sessions import add_session_routes
from visionops_assets.services.gateway.streams import Streams
from visionops_assets.services.gateway.unserved import Unserved
from visionops_assets.services.http.access import Access
from visionops_assets.services.http.api_pages import create_api
from visionops_assets.services.http.health import catalog_check, install_health, lasting
from visionops_assets.services.http.known_keys import KEPT_WITHOUT_CATALOG_S
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.request_metrics import MetricsMiddleware
from visionops_assets.services.http.server import RequestLog
from visionops_assets.settings import Settings

DESCRIPTION = """
Asks the served model what images show, and takes labels: what they really show.

**Key.** Send an API key with the scopes `predict` and `label` as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. An operator makes one by
`visionops keys add NAME --scope predict --scope label`.

**In the browser**: [the page of this gateway](/) takes a picture and shows the answer.

**Video**: the WebSocket `/v1/stream` takes one encoded image per binary message and answers each
with one JSON message, in order. It takes the key as a header, and `top_k`, `timeout_ms`,
`keep_image` and `source` in the query.

**Come again**: `Retry-After` of 429 and 503 says after how many seconds.
"""
TAGS = (PREDICTIONS, LABELS)


class Gateway:
    """The application as `app`, and `drain`, which ends streams and calls before it stops.

    `frames` has a child process, which ends with the application, as the gRPC port `door` does.

    Neither Triton nor the catalog has to be up yet.
    """

    def __init__(
        self, triton: TritonChannel, catalog: Catalog, settings: Settings, model: ModelDeclaration
    ) -> None:
        metrics = GatewayMetrics()
        access = Access(catalog, settings, takes_cookies=True)
        admission = Admission(settings.gateway_max_in_flight, metrics.count_rejected)
        metrics.watch("in_flight", "Predictions under way.", lambda: admission.in_flight)
        watch = RolloutWatch(catalog, model.name, metrics)
        predictor = Predictor(
            triton, watch, Unserved(catalog, model), metrics, settings, model.name
        )
        self.frames = FrameMaker(catalog, settings)
        streams = Streams(access, predictor, admission, metrics, settings)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            watch.start()
            async with triton.connected(), self.door.open():
                yield
                await predictor.close()
            watch.stop()
            self.frames.close()

        async def drain() -> None:
            await asyncio.gather(streams.drain(), self.door.drain())

        self.drain = drain
        self.app = create_api(
            "VisionOps gateway", DESCRIPTION, TAGS, lifespan, root_leads_to_docs=False
        )
        install_problem_handlers(self.app)
        self.app.add_middleware(MetricsMiddleware, metrics=metrics.requests)
        self.app.add_middleware(RequestLog)
        add_predict_route(self.app, access, predictor, admission, settings)
        add_frame_route(self.app, access, self.frames, admission, settings)
        add_label_route(self.app, access, catalog, settings)
        add_session_routes(self.app, access, catalog, settings, model.name)
        add_page(self.app)
        self.app.add_api_websocket_route("/v1/stream", streams.serve)
        # Without the catalog, predictions go on for as long as known keys are valid.
        keys_check = lasting(catalog_check(catalog), KEPT_WITHOUT_CATALOG_S)
        readiness = install_health(self.app, {"Triton": triton.check, "the catalog": keys_check})
        methods = GrpcMethods(access, predictor, admission, triton, metrics, settings, model.name)
        self.door = GrpcDoor(methods, readiness, metrics.requests, settings)

        @self.app.get("/metrics", include_in_schema=False)
        async def prometheus_metrics() -> Response:
            return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
