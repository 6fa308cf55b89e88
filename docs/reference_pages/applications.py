"""Builds the HTTP services as their programs do, without a server behind any of them."""

from collections.abc import Mapping
from functools import cache

from fastapi import FastAPI

from visionops_assets.roster.ours import SERVICES
from visionops_assets.services.http.applications import application_of
from visionops_assets.settings import Settings


@cache
def applications() -> Mapping[str, FastAPI]:
    """Return the services by name. They connect to their servers only at the first request."""
    settings = Settings()
    return {
        service.name: application_of(service.module, settings)
        for service in SERVICES
        if service.addresses
    }
