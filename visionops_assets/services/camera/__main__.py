"""`python -m visionops_assets.services.camera`: run the cameras until SIGTERM."""

from collections.abc import Sequence

from fastapi import FastAPI

from visionops_assets.catalog import cameras
from visionops_assets.catalog.cameras import CameraEntry
from visionops_assets.catalog.connection import Catalog
from visionops_assets.services.camera.app import create_app
from visionops_assets.services.camera.fleet import Fleet
from visionops_assets.services.camera.ingest import IngestUploads
from visionops_assets.services.camera.running import RunningCamera
from visionops_assets.services.http.server import serve
from visionops_assets.settings import Settings, load_settings


def application(settings: Settings) -> FastAPI:
    """Build what it serves. The cameras start when it starts to listen."""
    catalog = Catalog()
    uploads = IngestUploads(settings, catalog)

    def read() -> Sequence[CameraEntry]:
        with catalog.begin() as session:
            return cameras.all_cameras(session)

    fleet = Fleet(read, lambda entry: RunningCamera(entry, uploads, settings))
    return create_app(fleet)


def main() -> None:
    """Listen until SIGTERM. Captures that were cut by then are still uploaded."""
    settings = load_settings()
    serve(application(settings), settings.camera_url)


if __name__ == "__main__":
    main()
