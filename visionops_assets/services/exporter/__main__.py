"""Runs the exporter: `python -m visionops_assets.services.exporter`."""

from fastapi import FastAPI

from visionops_assets.catalog.connection import Catalog
from visionops_assets.services.exporter.app import create_app
from visionops_assets.services.http.server import serve
from visionops_assets.settings import Settings, load_settings


def application(settings: Settings) -> FastAPI:
    """Build what it serves. It reads the catalog at each request."""
    return create_app(Catalog(), settings)


if __name__ == "__main__":
    loaded = load_settings()
    serve(application(loaded), loaded.exporter_url)
