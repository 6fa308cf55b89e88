"""Runs the gateway: `python -m visionops_assets.services.gateway`."""

from fastapi import FastAPI

from visionops_assets.catalog.connection import Catalog
from visionops_assets.models import load_models
from visionops_assets.services.gateway.app import Gateway
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.http.server import serve
from visionops_assets.settings import Settings, load_settings


def application(settings: Settings) -> FastAPI:
    """Build what it serves. It connects to its servers when it starts to listen."""
    return _gateway(settings).app


def _gateway(settings: Settings) -> Gateway:
    channel = TritonChannel(settings.triton_grpc_address)
    return Gateway(channel, Catalog(), settings, load_models())


if __name__ == "__main__":
    loaded = load_settings()
    gateway = _gateway(loaded)
    serve(gateway.app, loaded.gateway_url, gateway.drain)
