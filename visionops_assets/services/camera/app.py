"""The HTTP face of the camera service: health and metrics. The cameras run beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event, Thread

import anyio.to_thread
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from visionops_assets.services.camera.fleet import Fleet
from visionops_assets.services.camera.metrics import CameraCollector
from visionops_assets.services.http.api_pages import OPERATION, create_api
from visionops_assets.services.http.health import install_health
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.server import RequestLog

DESCRIPTION = """
Cuts the streams of cameras into clips and stills, and uploads them to ingest. Cameras are added and
removed on the command line (`visionops cameras --help`); this service says whether it is well.
"""


def create_app(fleet: Fleet) -> FastAPI:
    """Build the application. The fleet runs for as long as it does."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = Event()
        thread = Thread(target=fleet.run, args=(stop,), name="fleet")
        thread.start()
        yield
        stop.set()
        await anyio.to_thread.run_sync(thread.join)

    app = create_api("VisionOps cameras", DESCRIPTION, lifespan=lifespan)
    install_problem_handlers(app)
    app.add_middleware(RequestLog)
    install_health(app, {"catalog": fleet.check_current})
    registry = CollectorRegistry()
    registry.register(CameraCollector(fleet.running))

    @app.get("/metrics", tags=[OPERATION], summary="Metrics", response_class=Response)
    def metrics() -> Response:
        """Return the figures of each camera in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
