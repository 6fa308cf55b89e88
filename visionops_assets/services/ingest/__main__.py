"""Runs the ingest service: `python -m visionops_assets.services.ingest`."""

from fastapi import FastAPI

from visionops_assets.services.http.server import serve
from visionops_assets.services.ingest.app import create_app
from visionops_assets.settings import Settings, load_settings


def application(settings: Settings) -> FastAPI:
    """Build what it serves. It connects to its servers at the first request."""
    return create_app(settings)


if __name__ == "__main__":
    loaded = load_settings()
    serve(application(loaded), loaded.ingest_url)
