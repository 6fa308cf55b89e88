"""Builds the page of the HTTP interfaces from each service's OpenAPI document."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from reference_pages.applications import applications
from reference_pages.markdown import code, page, table
from visionops_assets.services.http.access import Guard
from visionops_assets.settings import Settings

_INTRODUCTION = """\
Each service describes itself at `/openapi.json`, with the schemas of what it takes and answers. A
key travels as `Authorization: Bearer KEY` or `X-API-Key: KEY`; the column *scope* says which one
a route needs, and a key with the scope `admin` may do everything. [Error codes](errors.md) lists
the `code` of each problem."""

_STREAM = """\
`/v1/stream` is a WebSocket, which OpenAPI does not describe: each binary message is one image,
each answer a JSON message with `sequence` and `outcome`, in the order of the images. The key has
the scope `predict`."""


def build() -> str:
    """Return the page, a section per service and a table of its routes."""
    sections = []
    for name, app in applications().items():
        url = Settings.model_fields[f"{name}_url"].default
        rows = [row for route in _routes(app.routes) for row in _rows(app, route)]
        sections += [
            f"## {name}",
            f"Listens at `{url}` unless `VISIONOPS_{name.upper()}_URL` says otherwise.",
            table(["route", "scope", "meaning", "answers", "problems"], rows),
        ]
        if name == "gateway":
            sections.append(_STREAM)
    return page("HTTP", _INTRODUCTION, *sections)


def _routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            yield route
        # FastAPI keeps an included router as one route.
        elif router := getattr(route, "original_router", None):
            yield from _routes(router.routes)


def _rows(app: FastAPI, route: APIRoute) -> list[list[str]]:
    described = app.openapi()["paths"][route.path_format]
    return [
        _row(method, route, described[method.lower()])
        for method in sorted(route.methods or ())
        if method.lower() in described
    ]


def _row(method: str, route: APIRoute, described: dict[str, Any]) -> list[str]:
    statuses = sorted(filter(str.isdigit, described["responses"]))
    answers = [status for status in statuses if int(status) < HTTPStatus.BAD_REQUEST]
    refusals = [status for status in statuses if int(status) >= HTTPStatus.BAD_REQUEST]
    text = described.get("description") or described.get("summary", "")
    return [
        code(f"{method} {route.path_format}"),
        ", ".join(code(scope) for scope in sorted(_scopes(route.dependant))),
        text.partition("\n\n")[0],
        ", ".join(answers),
        ", ".join(refusals),
    ]


def _scopes(dependant: Dependant) -> set[str]:
    """Return the scopes that a route's guards ask for, also those of its dependencies."""
    own = {dependant.call.scope.value} if isinstance(dependant.call, Guard) else set()
    return own.union(*(_scopes(child) for child in dependant.dependencies))
