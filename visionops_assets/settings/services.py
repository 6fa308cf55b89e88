"""Settings of our services: the address of each, by its declaration in `roster/ours.py`."""

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings

from visionops_assets.roster import ours
from visionops_assets.roster.service import Service


def address(service: Service, place: int = 0) -> Any:
    """Return the field of a service's address: the one on this machine unless it is given."""
    declared = service.addresses[place]
    return Field(declared.at("127.0.0.1"), description=declared.says)


class ServiceSettings(BaseSettings):
    """Addresses of our services."""

    ingest_url: str = address(ours.INGEST)
    gateway_url: str = address(ours.GATEWAY)
    gateway_grpc_address: str = address(ours.GATEWAY, 1)
    exporter_url: str = address(ours.EXPORTER)
    camera_url: str = address(ours.CAMERA)
    alerts_url: str = address(ours.ALERTS)
