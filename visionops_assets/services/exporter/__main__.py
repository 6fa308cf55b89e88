"""Runs the exporter: `python -m visionops_assets.services.exporter`."""

from visionops_assets.catalog.connection import Catalog
from visionops_assets.services.exporter.app import create_app
from visionops_assets.services.http.server import serve
from visionops_assets.settings import load_settings

if __name__ == "__main__":
    settings = load_settings()
    serve(create_app(Catalog(), settings), settings.exporter_url)
