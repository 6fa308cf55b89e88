"""Many annotations of stored files at once: a stream of JSON lines in, and one out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.annotation_batches import (
    FoundMedia,
    Said,
    annotate_many,
    find_media,
)
from visionops_assets.catalog.annotation_lists import counting_annotations
from visionops_assets.catalog.annotations import known_classes
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import MediaKind, Scope
from visionops_assets.errors import InvalidRequestError, VisionOpsError
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.annotation_lines import (
    CountingLine,
    Line,
    ManyAnswer,
    ManyQuery,
    RefusedLine,
    SourceQuery,
    lines_of,
    said_by,
)
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.annotating import ANNOTATIONS, asked_model, require_classes
from visionops_assets.services.http.body import body_of
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings
from visionops_assets.tasks.registry import annotating

PATH = "/v1/models/{name}/annotations"
LINES = "application/x-ndjson"
MAX_STREAM_BYTES = 1000**3
BATCH_LINES = 1_000
MAX_BATCH_LINES = 20_000
"""The lines of one file stay in one transaction up to here."""
MAX_REFUSALS = 1_000
_BODY_PROBLEMS = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_EXAMPLE = '{"filename": "gate/1.png", "annotation": {"label": "car"}}\n'
_LINES_BODY = {
    "requestBody": {
        # A stream without a line says nothing, and that is no error.
        "required": False,
        "content": {LINES: {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}
_ANSWER_OF_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line of JSON per annotation.",
        "content": {LINES: {"schema": {"type": "string"}}},
    }
}


@dataclass
class _Count:
    lines: int = 0
    taken: int = 0
    added: int = 0
    refused: int = 0
    refusals: list[RefusedLine] = field(default_factory=list)

    def refuse(self, line: int, code: str, detail: str) -> None:
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(RefusedLine(line=line, code=code, detail=detail))

    @property
    def answer(self) -> ManyAnswer:
        return ManyAnswer(
            lines=self.lines,
            added=self.added,
            unchanged=self.taken - self.added,
            refused=self.refused,
            refusals=sorted(self.refusals, key=lambda refused: refused.line),
        )


class _Door:
    """Says of files what the lines of one request say, a transaction per batch."""

    def __init__(
        self, catalog: Catalog, model: ModelDeclaration, query: ManyQuery, author: str
    ) -> None:
        self._catalog = catalog
        self._model = model
        self._task = annotating(model.task)
        self._query = query
        self._author = author
        self._waiting: list[tuple[int, Line]] = []
        self.count = _Count()

    async def take(self, text: bytes) -> None:
        """Take the next line; say what waits once there is enough."""
        self.count.lines += 1
        if not text.strip():
            return
        try:
            line = Line.model_validate_json(text)
        except ValidationError as error:
            self.count.refuse(self.count.lines, InvalidRequestError.code, said_by(error))
            return
        waiting = len(self._waiting)
        if waiting >= MAX_BATCH_LINES or (
            waiting >= BATCH_LINES and self._waiting[-1][1].reference != line.reference
        ):
            await self.finish()
        self._waiting.append((self.count.lines, line))

    async def finish(self) -> None:
        """Say what waits."""
        batch, self._waiting = self._waiting, []
        if batch:
            await run_in_threadpool(self._say, batch)

    def _say(self, batch: Sequence[tuple[int, Line]]) -> None:
        with self._catalog.begin() as session:
            found = find_media(session, [line.reference for _, line in batch], self._query.source)
            classes = set() if self._query.new_classes else known_classes(session, self._model.name)
            said: dict[UUID, list[Said]] = {}
            refusals: list[tuple[int, VisionOpsError]] = []
            for (number, line), media in zip(batch, found, strict=True):
                try:
                    payload = self._payload(line, media, classes)
                except VisionOpsError as error:
                    refusals.append((number, error))
                    continue
                assert isinstance(media, FoundMedia)  # noqa: S101 - else it was refused
                said.setdefault(media.media_id, []).append((line.start_s, line.end_s, payload))
            added = annotate_many(session, self._model.name, said, self._author)
        # Committed now: a batch that fails counts for nothing.
        self.count.added += added
        self.count.taken += sum(map(len, said.values()))
        for number, refusal in refusals:
            self.count.refuse(number, refusal.code, str(refusal))

    def _payload(self, line: Line, media: object, classes: set[str]) -> dict[str, Any]:
        if isinstance(media, VisionOpsError):
            raise media
        if isinstance(media, FoundMedia) and media.kind is MediaKind.IMAGE and line.end_s:
            raise InvalidRequestError("start_s: an image has no parts. Leave it and end_s out.")
        payload = self._task.payload(self._task.parse(line.annotation))
        require_classes(payload, self._model, classes)
        return payload


def add_many_routes(
    app: FastAPI,
    access: Access,
    catalog: Catalog,
    settings: Settings,
    models: Sequence[ModelDeclaration],
) -> None:
    """Add the routes of many annotations."""
    guard = access.require(Scope.LABEL)
    tags: list[str | Enum] = [ANNOTATIONS.name]

    @app.post(
        PATH,
        tags=tags,
        summary="Annotate many stored files",
        responses=PROTECTED | _BODY_PROBLEMS,
        openapi_extra=_LINES_BODY,
    )
    async def annotate_files(
        name: str,
        request: Request,
        query: Annotated[ManyQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
    ) -> ManyAnswer:
        """Say of many files what they show: a line of JSON per file, or per part of a video.

        A line names its file by `media_id`, by `sha256` or else by `filename`, and has `annotation`
        in the form of the model's task. What is wrong with one line is said of that line, and the
        others are taken. Lines that change nothing add nothing, so a body may be sent again.
        """
        door = _Door(catalog, asked_model(models, name), query, principal.name)
        pieces = body_of(
            request, max_bytes=MAX_STREAM_BYTES, idle_timeout_s=settings.body_idle_timeout_s
        )
        async for line in lines_of(pieces):
            await door.take(line)
        await door.finish()
        return door.count.answer

    @app.get(
        PATH,
        tags=tags,
        summary="List the annotations of stored files for a model",
        response_class=StreamingResponse,
        responses=PROTECTED | problems(HTTPStatus.UNPROCESSABLE_ENTITY) | _ANSWER_OF_LINES,
        dependencies=[Depends(guard)],
    )
    def list_annotations(name: str, query: Annotated[SourceQuery, Query()]) -> StreamingResponse:
        """Return what counts for a model: a line of JSON per file, or per part of a video."""
        model = asked_model(models, name)
        # The first page is read before the answer begins, so that a failure has its status.
        pages = _pages(catalog, model, query.source)
        first = next(pages, "")
        return StreamingResponse(_after(first, pages), media_type=LINES)


def _after(first: str, others: Iterator[str]) -> Iterator[str]:
    yield first
    yield from others


def _pages(catalog: Catalog, model: ModelDeclaration, source: str | None) -> Iterator[str]:
    after: UUID | None = None
    while True:
        with catalog.begin() as session:
            found, after = counting_annotations(session, model, source, after)
        yield "".join(f"{CountingLine.of(each).model_dump_json()}\n" for each in found)
        if after is None:
            return
