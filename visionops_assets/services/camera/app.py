"""The HTTP face of the camera service: health and metrics. The cameras run beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event, Thread

import anyio.to_thread
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from visionops_assets.services.camera.fleet import Fleet
from visionops_assets.services.camera.metrics import CameraCollector
from visionops_assets.services.health import install_health
from visionops_assets.services.http_server import RequestLog
from visionops_assets.services.problems import install_problem_handlers


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

    app = FastAPI(title="VisionOps cameras", description=__doc__, lifespan=lifespan)
    install_problem_handlers(app)
    app.add_middleware(RequestLog)
    install_health(app, {"catalog": fleet.check_current})
    registry = CollectorRegistry()
    registry.register(CameraCollector(fleet.running))

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Show the figures of every camera, for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
