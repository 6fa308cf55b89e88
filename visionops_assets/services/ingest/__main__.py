"""Runs the ingest service: `python -m visionops_assets.services.ingest`."""

from visionops_assets.services.http.server import serve
from visionops_assets.services.ingest.app import create_app
from visionops_assets.settings import load_settings

if __name__ == "__main__":
    settings = load_settings()
    serve(create_app(settings), settings.ingest_url)
