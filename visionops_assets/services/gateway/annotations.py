"""Annotations of predictions: given, read, and taken back."""

from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.annotations import (
    Place,
    annotate,
    annotations_of,
    known_classes,
    model_of,
    take_back,
)
from visionops_assets.catalog.asked import origin_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import Scope
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.annotating import (
    ANNOTATION_BODY,
    ANNOTATIONS,
    MAX_ANNOTATION_BYTES,
    AnnotationAnswer,
    AnnotationList,
    AnnotationQuery,
    asked_model,
    read_annotation,
    require_classes,
)
from visionops_assets.services.http.body import body_of, whole
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings

PATH = "/v1/predictions/{prediction_id}/annotation"
_PROBLEMS = PROTECTED | problems(HTTPStatus.UNPROCESSABLE_ENTITY)
_BODY_PROBLEMS = problems(
    HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
)
_TAKEN_BACK = {HTTPStatus.NO_CONTENT: {"description": "It was taken back."}}


class PredictionAnnotationQuery(AnnotationQuery):
    """Whom it is for, and whether it was asked for."""

    answers_draw: bool = Field(
        False,
        description="Whether it is given because its prediction was drawn, and would be given "
        "whatever it says: then it counts for accuracy and the alarm.",
    )


class _Door:
    """Says of predictions what a request says, in one transaction."""

    def __init__(self, catalog: Catalog, models: Sequence[ModelDeclaration]) -> None:
        self._catalog = catalog
        self._models = models

    def put(
        self, prediction_id: UUID, query: PredictionAnnotationQuery, body: bytes, author: str
    ) -> AnnotationAnswer | None:
        """Add an annotation, or take back what was said; None then."""
        with self._catalog.begin() as session:
            model = self._model(session, prediction_id, query)
            payload = read_annotation(body, model)
            place = Place(model.name, prediction_id=prediction_id)
            if payload is None:
                take_back(session, place, author)
                return None
            if not query.new_classes:
                require_classes(payload, model, known_classes(session, model.name))
            audited = model.monitoring.audit_percent
            origin = origin_of(
                session, prediction_id, audited, answers_draw=query.answers_draw, author=author
            )
            return AnnotationAnswer.of(annotate(session, place, payload, author, origin))

    def get(self, prediction_id: UUID) -> AnnotationList:
        """Return what was said of a prediction."""
        with self._catalog.begin() as session:
            return AnnotationList.of(annotations_of(session, prediction_id=prediction_id))

    def delete(self, prediction_id: UUID, query: AnnotationQuery, author: str) -> None:
        """Take back what was said of a prediction."""
        with self._catalog.begin() as session:
            model = self._model(session, prediction_id, query)
            take_back(session, Place(model.name, prediction_id=prediction_id), author)

    def _model(
        self, session: Session, prediction_id: UUID, query: AnnotationQuery
    ) -> ModelDeclaration:
        """Return the model that made the prediction; until it has come, the one that is asked."""
        made_by = model_of(session, prediction_id)
        asked = asked_model(self._models, query.model or made_by)
        if made_by is not None and asked.name != made_by:
            raise InvalidRequestError(f"model: {made_by} made this prediction, not {asked.name}.")
        return asked


def add_annotation_routes(
    app: FastAPI,
    access: Access,
    catalog: Catalog,
    settings: Settings,
    models: Sequence[ModelDeclaration],
) -> None:
    """Add the routes of annotations of predictions."""
    door = _Door(catalog, models)
    guard = access.require(Scope.LABEL)
    tags: list[str | Enum] = [ANNOTATIONS.name]

    @app.put(
        PATH,
        tags=tags,
        summary="Annotate a prediction",
        response_model=AnnotationAnswer,
        responses=_PROBLEMS | _BODY_PROBLEMS | _TAKEN_BACK,
        openapi_extra=ANNOTATION_BODY,
    )
    async def annotate_prediction(
        prediction_id: UUID,
        request: Request,
        query: Annotated[PredictionAnnotationQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
    ) -> AnnotationAnswer | Response:
        """Say what a predicted image really shows, in the form of the model's task.

        The newest annotation counts; the same one twice is one. `null` takes back, as DELETE does.
        """
        body = await whole(
            body_of(
                request,
                max_bytes=MAX_ANNOTATION_BYTES,
                idle_timeout_s=settings.body_idle_timeout_s,
            )
        )
        given = await run_in_threadpool(door.put, prediction_id, query, body, principal.name)
        return given or Response(status_code=HTTPStatus.NO_CONTENT)

    @app.get(
        PATH,
        tags=tags,
        summary="List the annotations of a prediction",
        responses=_PROBLEMS,
        dependencies=[Depends(guard)],
    )
    def read_annotations(prediction_id: UUID) -> AnnotationList:
        """Return the annotations of a prediction. One that nobody made has none."""
        return door.get(prediction_id)

    @app.delete(
        PATH,
        tags=tags,
        summary="Take annotations of a prediction back",
        status_code=204,
        responses=_PROBLEMS,
    )
    def take_back_annotation(
        prediction_id: UUID,
        query: Annotated[AnnotationQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
    ) -> None:
        """Take back what anybody said of a prediction. Nothing is deleted."""
        door.delete(prediction_id, query, principal.name)
