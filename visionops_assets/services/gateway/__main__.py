"""Run the gateway at the address that the settings give it."""

from urllib.parse import urlsplit

import uvicorn

from visionops_assets.catalog.connection import Catalog
from visionops_assets.services.gateway.app import create_app
from visionops_assets.services.gateway.predictor import Predictor
from visionops_assets.settings import load_settings


def main() -> None:
    """Serve until a signal comes."""
    settings = load_settings()
    url = urlsplit(settings.gateway_url)
    app = create_app(Predictor(settings.triton_grpc_address, settings.model_name), Catalog())
    uvicorn.run(app, host=url.hostname or "127.0.0.1", port=url.port or 80, access_log=False)


if __name__ == "__main__":
    main()
