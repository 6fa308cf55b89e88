"""The exporter's application."""

from collections.abc import Iterable

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.exporter.decisions import decision_metrics
from visionops_assets.services.exporter.families import gauge
from visionops_assets.services.exporter.health import health_metrics
from visionops_assets.services.exporter.media import media_metrics
from visionops_assets.services.exporter.models import model_metrics
from visionops_assets.services.http.api_pages import OPERATION, create_api
from visionops_assets.services.http.problems import install_problem_handlers
from visionops_assets.services.http.request_metrics import service_registry
from visionops_assets.services.http.server import RequestLog
from visionops_assets.settings import Settings

DESCRIPTION = """
Figures of the pipeline for Prometheus: media by status, frames, labels, snapshots, the version that
serves, decisions. They are read from the catalog per scrape. Everyone who reaches this address may
read them; they hold counts and names, no media.
"""


class CatalogCollector(Collector):
    """Reads the catalog once per scrape, in one transaction."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    def collect(self) -> Iterable[Metric]:
        """Return every metric, or `visionops_catalog_up 0` alone while the catalog is down."""
        try:
            with self._catalog.begin() as session:
                metrics = [
                    *media_metrics(session, self._settings),
                    *model_metrics(session, self._settings),
                    *decision_metrics(session),
                    *health_metrics(session),
                ]
        except ServerUnreachableError:
            return [_catalog_up(0)]
        return [_catalog_up(1), *metrics]

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not read the catalog."""
        return []


def create_app(catalog: Catalog, settings: Settings) -> FastAPI:
    """Build the application. Nothing is connected before the first scrape."""
    app = create_api("VisionOps exporter", DESCRIPTION)
    install_problem_handlers(app)
    app.add_middleware(RequestLog)
    registry = service_registry()
    registry.register(CatalogCollector(catalog, settings))

    @app.get("/metrics", tags=[OPERATION], summary="Metrics", response_class=Response)
    def metrics() -> Response:
        """Return the catalog's figures in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz", tags=[OPERATION], summary="Is the process alive?")
    def healthz() -> dict[str, str]:
        """Answer at once; no other server is asked."""
        return {"status": "ok"}

    return app


def _catalog_up(value: int) -> Metric:
    return gauge("catalog_up", "Whether the catalog answered this scrape.", value)
