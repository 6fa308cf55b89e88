"""`GET /v1/lineage/{kind}/{id}`: what anything came from, and what came of it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Record, Scope
from visionops_assets.lineage.records import Branch, Direction, Kind, Trace
from visionops_assets.lineage.tracing import MAX_LIMIT, NEAR, Wanted, trace, trace_list
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.problems import problems

LINEAGE = Tag("lineage", "The origin of anything, and all that came of it.")

_PROBLEMS = PROTECTED | problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
Id = Annotated[
    str,
    Path(
        max_length=300,
        pattern=r"^[^\x00]+$",
        description="A UUID, the id of a dataset, the number of a decision, or of a model "
        "NAME:VERSION, or NAME for the one that serves.",
    ),
]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Nodes per list of what is traced.")]


class TraceQuery(Record):
    """How much of a trace is wanted."""

    direction: Direction | None = Field(None, description="Only one; by default both.")
    limit: Limit = NEAR


class ListQuery(Record):
    """A page of a list."""

    limit: Limit = 100
    cursor: str | None = Field(
        None, max_length=1000, description="As the page before gave it; none of the first page."
    )


def add_lineage_routes(app: FastAPI, access: Access, catalog: Catalog) -> None:
    """Add the routes. They want the scope `admin`: a trace names files and keys of everybody."""
    guard = access.require(Scope.ADMIN)

    def traced(kind: Kind, name: str, query: TraceQuery) -> Trace:
        directions = (query.direction,) if query.direction else tuple(Direction)
        with catalog.begin() as session:
            return trace(session, kind, name, Wanted(directions, query.limit))

    def listed(kind: Kind, name: str, list_: str, query: ListQuery) -> Branch:
        with catalog.begin() as session:
            return trace_list(session, kind, name, list_, query.limit, query.cursor)

    @app.get(
        "/v1/lineage/{kind}/{id}", tags=[LINEAGE.name], summary="Trace a thing", responses=_PROBLEMS
    )
    async def trace_thing(
        kind: Kind,
        id: Id,  # noqa: A002 - as the path names it
        query: Annotated[TraceQuery, Query()],
        _: Annotated[Principal, Depends(guard)],
    ) -> Trace:
        """Say what a thing came from, up to the source, and all that came of it.

        Long lists are cut: `count` says how long they are.
        """
        return await run_in_threadpool(traced, kind, id, query)

    @app.get(
        "/v1/lineage/{kind}/{id}/{list}",
        tags=[LINEAGE.name],
        summary="Read one list of a trace by pages",
        responses=_PROBLEMS,
    )
    async def page_of_list(
        kind: Kind,
        id: Id,  # noqa: A002 - as the path names it
        list: Annotated[str, Path(max_length=100)],  # noqa: A002 - as the path names it
        query: Annotated[ListQuery, Query()],
        _: Annotated[Principal, Depends(guard)],
    ) -> Branch:
        """Return a page of one list of a thing, by the `name` that a trace gives it."""
        return await run_in_threadpool(listed, kind, id, list, query)
