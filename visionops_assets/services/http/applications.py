"""The HTTP application of a service, found by its module: documentation and tests build it."""

from importlib import import_module
from importlib.util import find_spec

from fastapi import FastAPI

from visionops_assets.settings import Settings


def application_of(module: str, settings: Settings) -> FastAPI:
    """Build the application of a service as its program does.

    Args:
        module: the one that `python -m` runs; it, or its `__main__`, has a function `application`.
        settings: where its servers are. It does not connect to them before it is used.

    Raises:
        AttributeError: there is no such function.
    """
    found = find_spec(module)
    is_package = found is not None and found.submodule_search_locations is not None
    program = import_module(f"{module}.__main__" if is_package else module)
    built: FastAPI = program.application(settings)
    return built
