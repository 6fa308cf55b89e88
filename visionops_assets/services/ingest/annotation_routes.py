"""Annotations of stored files: given, read, and taken back."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.annotations import (
    Place,
    annotate,
    annotations_of,
    known_classes,
    take_back,
)
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.media import get_acknowledged
from visionops_assets.contracts import MediaKind, Scope
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.annotating import (
    ANNOTATION_BODY,
    ANNOTATIONS,
    MAX_ANNOTATION_BYTES,
    AnnotationAnswer,
    AnnotationList,
    MediaAnnotationQuery,
    asked_model,
    read_annotation,
    require_classes,
)
from visionops_assets.services.http.body import body_of, whole
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings

PATH = "/v1/media/{media_id:uuid}/annotation"
_PROBLEMS = PROTECTED | problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_BODY_PROBLEMS = problems(
    HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
)
_TAKEN_BACK = {HTTPStatus.NO_CONTENT: {"description": "It was taken back."}}


class _Door:
    """Says of files what a request says, in one transaction."""

    def __init__(self, catalog: Catalog, models: Sequence[ModelDeclaration]) -> None:
        self._catalog = catalog
        self._models = models

    def put(
        self, media_id: UUID, query: MediaAnnotationQuery, body: bytes, author: str
    ) -> AnnotationAnswer | None:
        """Add an annotation, or take back what was said of its place; None then."""
        model = asked_model(self._models, query.model)
        payload = read_annotation(body, model)
        if payload is None:
            self.delete(media_id, query, author)
            return None
        place = Place(model.name, media_id, None, query.start_s, query.end_s)
        with self._catalog.begin() as session:
            media = get_acknowledged(session, media_id, None)
            if media.kind is MediaKind.IMAGE and query.start_s is not None:
                raise InvalidRequestError("start_s: an image has no parts. Leave it and end_s out.")
            if not query.new_classes:
                require_classes(payload, model, known_classes(session, model.name))
            return AnnotationAnswer.of(annotate(session, place, payload, author))

    def get(self, media_id: UUID) -> AnnotationList:
        """Return what was said of a file."""
        with self._catalog.begin() as session:
            get_acknowledged(session, media_id, None)
            return AnnotationList.of(annotations_of(session, media_id=media_id))

    def delete(self, media_id: UUID, query: MediaAnnotationQuery, author: str) -> None:
        """Take back what was said of a place."""
        model = asked_model(self._models, query.model)
        place = Place(model.name, media_id, None, query.start_s, query.end_s)
        with self._catalog.begin() as session:
            get_acknowledged(session, media_id, None)
            take_back(session, place, author)


def annotation_routes(
    access: Access, catalog: Catalog, settings: Settings, models: Sequence[ModelDeclaration]
) -> APIRouter:
    """Build the routes of annotations of files."""
    router = APIRouter(tags=[ANNOTATIONS.name], responses=_PROBLEMS)
    door = _Door(catalog, models)
    guard = access.require(Scope.LABEL)

    @router.put(
        PATH,
        summary="Say what a file shows",
        response_model=AnnotationAnswer,
        responses=_BODY_PROBLEMS | _TAKEN_BACK,
        openapi_extra=ANNOTATION_BODY,
    )
    async def annotate_media(
        media_id: UUID,
        request: Request,
        query: Annotated[MediaAnnotationQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
    ) -> AnnotationAnswer | Response:
        """Say for one model what a stored file shows, or a part of a video.

        The newest annotation counts, also over the label that came with the upload. The same one
        twice is one. `null` takes back what was said of just this place, as DELETE does.
        """
        body = await whole(
            body_of(
                request,
                max_bytes=MAX_ANNOTATION_BYTES,
                idle_timeout_s=settings.body_idle_timeout_s,
            )
        )
        given = await run_in_threadpool(door.put, media_id, query, body, principal.name)
        return given or Response(status_code=HTTPStatus.NO_CONTENT)

    @router.get(PATH, summary="List the annotations of a file", dependencies=[Depends(guard)])
    def read_annotations(media_id: UUID) -> AnnotationList:
        """Return the annotations of a file, for all models and of all its parts."""
        return door.get(media_id)

    @router.delete(PATH, summary="Take annotations of a file back", status_code=204)
    def take_back_annotation(
        media_id: UUID,
        query: Annotated[MediaAnnotationQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
    ) -> None:
        """Take back what anybody said of just this place, for this model. Nothing is deleted."""
        door.delete(media_id, query, principal.name)

    return router
