"""Runs the gateway: `python -m visionops_assets.services.gateway`."""

from visionops_assets.catalog.connection import Catalog
from visionops_assets.services.gateway.app import create_app
from visionops_assets.services.gateway.predictor import Predictor
from visionops_assets.services.http_server import serve
from visionops_assets.settings import load_settings

if __name__ == "__main__":
    settings = load_settings()
    predictor = Predictor(settings.triton_grpc_address, settings.model_name)
    serve(create_app(predictor, Catalog(), settings), settings.gateway_url)
