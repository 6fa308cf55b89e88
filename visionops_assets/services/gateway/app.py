"""Builds the gateway's application from its parts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from visionops_assets.catalog.connection import Catalog
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.annotations import add_annotation_routes
from visionops_assets.services.gateway.browser import add_page
from visionops_assets.services.gateway.frames import FrameMaker, add_frame_route
from visionops_assets.services.gateway.grpc_door import GrpcDoor
from visionops_assets.services.gateway.grpc_methods import GrpcMethods
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.labelling import LABELLING, labelling_routes
from visionops_assets.services.gateway.labels import LABELS, add_label_route
from visionops_assets.services.gateway.limits import Limits
from visionops_assets.services.gateway.lineage import LINEAGE, add_lineage_routes
from visionops_assets.services.gateway.many_annotations import add_many_routes
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.models import MODELS, add_model_routes
from visionops_assets.services.gateway.routes import PREDICTIONS, add_predict_routes
from visionops_assets.services.gateway.served import ServedModels
from visionops_assets.services.gateway.sessions import add_session_routes
from visionops_assets.services.gateway.streams import Streams
from visionops_assets.services.http.access import Access
from visionops_assets.services.http.annotating import ANNOTATIONS
from visionops_assets.services.http.api_pages import create_api
from visionops_assets.services.http.health import catalog_check, install_health, lasting
from visionops_assets.services.http.known_keys import KEPT_WITHOUT_CATALOG_S
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.request_metrics import MetricsMiddleware
from visionops_assets.services.http.server import RequestLog
from visionops_assets.settings import Settings

DESCRIPTION = """
Asks the served models what images show, and takes labels: what they really show.

**Key.** Send an API key with the scopes `predict` and `label` as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. An operator makes one by
`visionops keys add NAME --scope predict --scope label`.

**In the browser**: [the page of this gateway](/) takes a picture and shows the answer.

**Models**: `/v1/predict` and `/v1/stream` mean the default model, `/v1/models/{name}/predict` and
`/v1/models/{name}/stream` the one of that name. `/v1/models` lists them.

**Video**: the WebSocket `/v1/stream` takes one encoded image per binary message and answers each
with one JSON message, in order. It takes the key as a header, and `top_k`, `timeout_ms`,
`keep_image` and `source` in the query.

**Come again**: `Retry-After` of 429 and 503 says after how many seconds.
"""
TAGS = (PREDICTIONS, LABELS, ANNOTATIONS, LABELLING, MODELS, LINEAGE)


class Gateway:
    """The application as `app`, and `drain`, which ends streams and calls before it stops.

    `frames` has a child process, which ends with the application, as the gRPC port `door` does.

    Neither Triton nor the catalog has to be up yet.
    """

    def __init__(
        self,
        triton: TritonChannel,
        catalog: Catalog,
        settings: Settings,
        models: Sequence[ModelDeclaration],
    ) -> None:
        metrics = GatewayMetrics()
        access = Access(catalog, settings, takes_cookies=True)
        admission = Admission(settings.gateway_max_in_flight, metrics.count_rejected)
        metrics.watch("in_flight", "Predictions under way.", lambda: admission.in_flight)
        served = ServedModels(models, triton, catalog, metrics, Limits.of(settings, metrics))
        self.frames = FrameMaker(catalog, settings)
        streams = Streams(access, served, admission, metrics, settings)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            served.start()
            async with triton.connected(), self.door.open():
                yield
                await served.close()
            served.stop()
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
        add_predict_routes(self.app, access, served, admission, settings)
        add_frame_route(self.app, access, self.frames, admission, settings)
        add_label_route(self.app, access, catalog, settings, served.declared)
        add_annotation_routes(self.app, access, catalog, settings, served.declared)
        add_many_routes(self.app, access, catalog, settings, served.declared)
        self.app.include_router(labelling_routes(access, catalog))
        add_session_routes(self.app, access, catalog, settings, served.default.declaration.name)
        add_page(self.app)
        add_model_routes(self.app, access, catalog, served)
        add_lineage_routes(self.app, access, catalog)
        for path in ("/v1/stream", "/v1/models/{name}/stream"):
            self.app.add_api_websocket_route(path, streams.serve)
        # Without the catalog, predictions go on for as long as known keys are valid.
        keys_check = lasting(catalog_check(catalog), KEPT_WITHOUT_CATALOG_S)
        readiness = install_health(self.app, {"Triton": triton.check, "the catalog": keys_check})
        methods = GrpcMethods(access, served, admission, triton, metrics, settings)
        self.door = GrpcDoor(methods, readiness, metrics.requests, settings)

        @self.app.get("/metrics", include_in_schema=False)
        async def prometheus_metrics() -> Response:
            return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
