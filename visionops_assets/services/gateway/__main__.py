"""Runs the gateway: `python -m visionops_assets.services.gateway`."""

from visionops_assets.catalog.connection import Catalog
from visionops_assets.models import load_models
from visionops_assets.services.gateway.app import Gateway
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.http.server import serve
from visionops_assets.settings import load_settings

if __name__ == "__main__":
    settings = load_settings()
    gateway = Gateway(
        TritonChannel(settings.triton_grpc_address), Catalog(), settings, load_models()
    )
    serve(gateway.app, settings.gateway_url, gateway.drain)
