"""Builds the page of metrics: what each service exposes, and what the served model counts."""

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import anyio
import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Select

from reference_pages.applications import applications
from reference_pages.markdown import code, page, table
from visionops_assets.catalog.schema import HealthWindow
from visionops_assets.services.exporter.app import CatalogCollector
from visionops_assets.settings import Settings

_INTRODUCTION = """\
Every HTTP service answers `GET /metrics` in Prometheus' text format. Those of the exporter are
read from the catalog at each scrape. Triton's own metrics (`nv_...`) are described in [its
documentation](https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html);
what the served model counts beside them stands in the last section."""

_Row = list[str]


def build() -> str:
    """Return the page, a section per service with a row per metric."""
    sections = []
    for name, app in applications().items():
        text = _exported() if name == "exporter" else _scraped(app)
        sections += [f"## {name}", table(["metric", "type", "meaning"], _rows(text))]
    model = table(["metric", "type", "meaning"], _of_the_model())
    return page("Metrics", _INTRODUCTION, *sections, "## The served model", model)


def _scraped(app: FastAPI) -> str:
    async def scrape() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/metrics")).text

    return anyio.run(scrape)


def _exported() -> str:
    """Return what the exporter shows of a catalog without rows: the names are the same."""
    registry = CollectorRegistry()
    registry.register(CatalogCollector(cast("Any", _EmptyCatalog()), Settings()))
    return generate_latest(registry).decode()


class _EmptyCatalog:
    """A catalog without rows, with only the queries of the exporter."""

    @contextmanager
    def begin(self) -> Iterator["_EmptyCatalog"]:
        yield self

    def scalar(self, _: object) -> None:
        return None

    def scalars(self, query: Select[Any]) -> "Iterable[HealthWindow]":
        # Without a health window its metrics would have no names.
        is_health = query.column_descriptions[0]["entity"] is HealthWindow
        rows = [HealthWindow(measured_at=datetime.now(UTC), measurements=[])] if is_health else []
        return _Rows(rows)

    def execute(self, _: object) -> "_Rows":
        return _Rows()


class _Rows(list[Any]):
    """The rows that a query found; a count in it is 0."""

    def all(self) -> list[Any]:
        return self

    def one(self) -> tuple[int, int]:
        return 0, 0

    def scalar_one(self) -> int:
        return 0


def _rows(text: str) -> Iterable[_Row]:
    for family in text_string_to_metric_families(text):
        # `_created` says when a series began; every counter and histogram has one.
        if family.name.startswith("visionops") and not family.name.endswith("_created"):
            suffix = "_total" if family.type == "counter" else ""
            yield [code(family.name + suffix), family.type, family.documentation]


def _of_the_model() -> Iterable[_Row]:
    """Read the families of the recorder from its source: it can be imported within Triton alone."""
    folder = Settings.model_fields["project_root"].default / "triton_models" / "classifier"
    for node in ast.walk(ast.parse((folder / "recorder.py").read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAMILIES":
            for name, description in ast.literal_eval(node.value):
                yield [code(f"visionops_predictions_{name}"), "counter", description]
