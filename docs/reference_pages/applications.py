"""Builds the HTTP services as their programs do, without a server behind any of them."""

from collections.abc import Mapping
from functools import cache
from typing import NoReturn

from fastapi import FastAPI

from visionops_assets.catalog.connection import Catalog
from visionops_assets.models import load_models
from visionops_assets.services import alerts
from visionops_assets.services.camera.app import create_app as create_camera
from visionops_assets.services.camera.fleet import Fleet
from visionops_assets.services.exporter.app import create_app as create_exporter
from visionops_assets.services.gateway.app import Gateway
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.ingest.app import create_app as create_ingest
from visionops_assets.settings import Settings


@cache
def applications() -> Mapping[str, FastAPI]:
    """Return the services by name. They connect to their servers only at the first request."""
    settings, catalog = Settings(), Catalog()
    gateway = Gateway(TritonChannel(settings.triton_grpc_address), catalog, settings, load_models())
    fleet = Fleet(list, _start_none)
    return {
        "ingest": create_ingest(settings),
        "gateway": gateway.app,
        "alerts": alerts.create_app(catalog, settings),
        "exporter": create_exporter(catalog, settings),
        "camera": create_camera(fleet),
    }


def _start_none(_: object) -> NoReturn:
    raise AssertionError("No camera is started for the documentation.")
