"""The exporter: what the catalog knows, as Prometheus metrics, read when it is scraped.

`python -m visionops_assets.services.exporter`. Not here: what a process counts by itself (each
service has a `/metrics` of its own).
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from visionops_assets.catalog import media, outbox, quarantine, sweeping
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import Label, PerformanceWindow, Release, Snapshot
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.http_server import RequestLog, serve
from visionops_assets.services.problems import install_problem_handlers
from visionops_assets.settings import load_settings


class CatalogCollector(Collector):
    """Reads the catalog once a scrape, in one transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Metric]:
        """Return every metric, or `visionops_catalog_up 0` alone while the catalog is down."""
        try:
            with self._catalog.begin() as session:
                metrics = list(_metrics(session))
        except ServerUnreachableError:
            return [_catalog_up(0)]
        return [_catalog_up(1), *metrics]

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not read the catalog."""
        return []


def create_app(catalog: Catalog) -> FastAPI:
    """Build the application. Nothing is connected before the first scrape."""
    app = FastAPI(title="VisionOps exporter", description=__doc__)
    install_problem_handlers(app)
    app.add_middleware(RequestLog)
    registry = CollectorRegistry()
    registry.register(CatalogCollector(catalog))

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Show the catalog's metrics, for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Say that the process answers; it reaches for no other server."""
        return {"status": "ok"}

    return app


def _catalog_up(value: int) -> Metric:
    return _gauge("visionops_catalog_up", "Whether the catalog answered this scrape.", value)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _metrics(session: Session) -> Iterator[Metric]:
    statuses = GaugeMetricFamily("visionops_media", "Media files by status.", labels=["status"])
    for status, count in media.count_by_status(session).items():
        statuses.add_metric([status], count)
    yield statuses
    frames = media.count_frames(session)
    labels = session.scalar(select(func.count()).select_from(Label)) or 0
    snapshots = session.scalar(select(func.count()).select_from(Snapshot)) or 0
    owed = outbox.backlog(session)
    yield _gauge("visionops_frames", "Processed frames.", frames)
    yield _gauge("visionops_labels", "Labels, of media and of predictions.", labels)
    yield _gauge("visionops_snapshots", "Dataset snapshots.", snapshots)
    yield _gauge("visionops_outbox_unpublished", "Events owed to the queue.", owed.events)
    yield _gauge(
        "visionops_outbox_oldest_age_seconds",
        "Age of the oldest event owed to the queue.",
        owed.oldest_age_s,
    )
    yield from _waiting_metrics(session)
    yield from _model_metrics(session)


def _waiting_metrics(session: Session) -> Iterator[Metric]:
    waiting = sweeping.waiting(session, timedelta(seconds=load_settings().announce_again_after_s))
    yield _gauge(
        "visionops_uploads_expired",
        "Uploads whose lease ran out, for the sweep to clear away.",
        waiting.expired_uploads,
    )
    yield _gauge(
        "visionops_resumable_uploads_expired",
        "Resumable uploads that nobody went on with, for the sweep to clear away.",
        waiting.expired_resumables,
    )
    yield _gauge(
        "visionops_media_untaken",
        "Media stored so long ago that their events should have been taken from the queue.",
        waiting.untaken_media,
    )
    reasons = GaugeMetricFamily(
        "visionops_media_quarantined", "Media in quarantine by reason.", labels=["code"]
    )
    for code, count in quarantine.count_by_code(session).items():
        reasons.add_metric([code], count)
    yield reasons


def _model_metrics(session: Session) -> Iterator[Metric]:
    champions = GaugeMetricFamily(
        "visionops_champion_version", "Model version in service.", labels=["model"]
    )
    newest_releases = (
        select(Release.model_name, Release.model_version)
        .ext(distinct_on(Release.model_name))
        .order_by(Release.model_name, Release.release_id.desc())
    )
    for name, version in session.execute(newest_releases):
        champions.add_metric([name], version)
    yield champions

    accuracy, low, high = (
        GaugeMetricFamily(
            f"visionops_model_accuracy{suffix}",
            f"Accuracy on labelled predictions in the newest window{bound}.",
            labels=["model", "version"],
        )
        for suffix, bound in (
            ("", ""),
            ("_low", ", lower confidence bound"),
            ("_high", ", upper confidence bound"),
        )
    )
    newest_windows = (
        select(PerformanceWindow)
        .ext(distinct_on(PerformanceWindow.model_name))
        .order_by(PerformanceWindow.model_name, PerformanceWindow.window_id.desc())
    )
    for window in session.scalars(newest_windows):
        series = [window.model_name, str(window.model_version)]
        values = (window.accuracy, window.accuracy_low, window.accuracy_high)
        for family, value in zip((accuracy, low, high), values, strict=True):
            if value is not None:
                family.add_metric(series, value)
    yield from (accuracy, low, high)


def main() -> None:
    """Listen until SIGTERM."""
    serve(create_app(Catalog()), load_settings().exporter_url)


if __name__ == "__main__":
    main()
