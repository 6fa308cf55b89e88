"""The route of labels: what a predicted image really shows, in one text."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.annotations import model_of
from visionops_assets.catalog.asked import origin_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.labels import AUDIT, add_prediction_label
from visionops_assets.contracts import Record, Scope
from visionops_assets.contracts.text import PlainText
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.images import JSON_TYPE
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.body import body_of, read_json, whole
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings

LABELS = Tag("labels", "Labels: people say what images really show.")
MAX_LABEL_BYTES = 16 * 1024
_LABEL_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

_LABELLED = {
    "label_id": 42,
    "prediction_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "label": "car",
}


class LabelRequest(BaseModel):
    """The label of a predicted image."""

    label: PlainText = Field(examples=["car"])
    answers_draw: bool = Field(
        False,
        strict=True,
        description="Whether it is given because its prediction was drawn, and would be given "
        "whatever it says.",
    )


class LabelAnswer(Record, json_schema_extra={"examples": [_LABELLED]}):
    """The label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str
    answers_draw: bool = Field(
        False, description="Whether it counts for accuracy and the alarm: its prediction was drawn."
    )


def add_label_route(
    app: FastAPI,
    access: Access,
    catalog: Catalog,
    settings: Settings,
    models: Sequence[ModelDeclaration],
) -> None:
    """Add the route of labels, which say in one text what an annotation says."""
    by_name = {model.name: model for model in models}
    body_schema = {"schema": LabelRequest.model_json_schema()}

    def add(prediction_id: UUID, said: LabelRequest, author: str) -> LabelAnswer:
        with catalog.begin() as session:
            made_by = model_of(session, prediction_id)
            model = by_name.get(made_by or "", models[0])
            payload = model.payload_of(said.label)
            audited = model.monitoring.audit_percent
            origin = origin_of(
                session, prediction_id, audited, answers_draw=said.answers_draw, author=author
            )
            row = add_prediction_label(session, prediction_id, payload, origin, author)
            return LabelAnswer(
                label_id=row.annotation_id,
                prediction_id=prediction_id,
                label=said.label,
                answers_draw=origin == AUDIT,
            )

    @app.post(
        "/v1/predictions/{prediction_id}/label",
        tags=[LABELS.name],
        summary="Say what a predicted image really shows",
        status_code=HTTPStatus.CREATED,
        responses=_LABEL_PROBLEMS,
        openapi_extra={"requestBody": {"required": True, "content": {JSON_TYPE: body_schema}}},
    )
    async def label_prediction(
        prediction_id: UUID,
        request: Request,
        principal: Annotated[Principal, Depends(access.require(Scope.LABEL))],
    ) -> LabelAnswer:
        """Add a label to a prediction. The newest one counts.

        If the image was kept, models are trained on it. With `answers_draw`, for a prediction that
        was `drawn` or is in a labelling batch, it counts for the measured accuracy and the alarm.
        """
        body = body_of(
            request, max_bytes=MAX_LABEL_BYTES, idle_timeout_s=settings.body_idle_timeout_s
        )
        said = read_json(LabelRequest, await whole(body))
        return await run_in_threadpool(add, prediction_id, said, principal.name)
