"""The HTTP face of ingest: uploads, the state of media, health and metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.uploads import UploadLedger
from visionops_assets.models import load_models
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.http.access import Access
from visionops_assets.services.http.annotating import ANNOTATIONS
from visionops_assets.services.http.api_pages import OPERATION, create_api
from visionops_assets.services.http.health import catalog_check, install_health
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.request_metrics import MetricsMiddleware, RequestMetrics
from visionops_assets.services.http.server import RequestLog
from visionops_assets.services.ingest.annotation_routes import annotation_routes
from visionops_assets.services.ingest.deposits import Deposits
from visionops_assets.services.ingest.intake import Intake
from visionops_assets.services.ingest.media_routes import UPLOADS_TAG, media_routes
from visionops_assets.services.ingest.resumable import ResumableUploads
from visionops_assets.services.ingest.resumable_routes import RESUMABLE_TAG, resumable_routes
from visionops_assets.services.ingest.state_routes import STATE_TAG, state_routes
from visionops_assets.services.ingest.upload import Uploads
from visionops_assets.services.ingest.video_check import VideoCheck
from visionops_assets.settings import Settings

DESCRIPTION = """
Takes images and videos in. **After a 201 a file is never lost**: it is stored, and it will be
processed, whatever crashes.

**Key.** Send an API key with the scope `ingest` as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. An operator makes one by `visionops keys add NAME --scope ingest`.

**The same bytes from the same source are one media file**, which the keys that sent them may
read, and no others. A file's first label comes with it; to change it, a key needs the scope `label`
too.

An `Idempotency-Key` gets the same answer again. A file is judged by its content, not by its name.
"""
TAGS = (UPLOADS_TAG, RESUMABLE_TAG, STATE_TAG, ANNOTATIONS)


def create_app(settings: Settings) -> FastAPI:
    """Build the application. The servers it needs do not have to be up yet."""
    catalog, store = Catalog(), ObjectStore()
    ledger = UploadLedger(settings.postgres_url.get_secret_value(), settings.upload_lease_s)
    videos = VideoCheck(settings, store)
    deposits = Deposits(settings, ledger, store, videos)
    uploads = Uploads(settings, ledger, deposits)
    resumable = ResumableUploads(settings, ledger, store, deposits, uploads)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with ledger.opened():
            leases = asyncio.create_task(deposits.keep_leases())
            yield
            leases.cancel()
            with suppress(asyncio.CancelledError):
                await leases
            videos.close()

    app = create_api("VisionOps ingest", DESCRIPTION, TAGS, lifespan)
    access = Access(catalog, settings)
    registry = CollectorRegistry()
    requests = RequestMetrics("ingest", registry, from_last_byte=True)
    install_problem_handlers(app)
    app.add_middleware(MetricsMiddleware, metrics=requests)
    app.add_middleware(RequestLog)
    app.include_router(media_routes(access, Intake(settings, deposits, uploads)))
    app.include_router(resumable_routes(access, resumable, settings))
    app.include_router(state_routes(access, catalog, store))
    app.include_router(annotation_routes(access, catalog, settings, load_models()))
    reaches_store = partial(store.exists, "readiness")
    install_health(app, {"catalog": catalog_check(catalog), "object store": reaches_store})

    @app.get("/metrics", tags=[OPERATION], summary="Metrics", response_class=Response)
    def metrics() -> Response:
        """Return the counters of this process in Prometheus' text format."""
        # The counts of the process, and those of this application.
        shown = generate_latest() + generate_latest(registry)
        return Response(shown, media_type=CONTENT_TYPE_LATEST)

    return app
