"""The gateway's HTTP routes: predictions of images, and labels of predictions."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.annotations import model_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.feedback import FEEDBACK
from visionops_assets.catalog.labels import add_prediction_label
from visionops_assets.contracts import Record, Scope
from visionops_assets.contracts.text import PlainText
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.answers import ListAnswer, PredictionAnswer
from visionops_assets.services.gateway.direct import direct, read_query
from visionops_assets.services.gateway.images import (
    JSON_TYPE,
    KEEP_IMAGE,
    OPENAPI_BODY,
    SOURCE,
    Flag,
    ImageReader,
    Source,
)
from visionops_assets.services.gateway.lists import predict_list
from visionops_assets.services.gateway.predictor import Ask
from visionops_assets.services.gateway.served import ServedModels
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.body import body_of, read_json, whole
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings

PREDICTIONS = Tag("predictions", "Answers of the model that serves.")
LABELS = Tag("labels", "Labels: people say what images really show.")

STICKY_KEY_HEADER = "X-Sticky-Key"
MAX_LABEL_BYTES = 16 * 1024

PREDICT_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.GATEWAY_TIMEOUT,
)
NOT_FOUND = problems(HTTPStatus.NOT_FOUND)
_LABEL_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

StickyKey = Annotated[
    str | None,
    Header(
        alias=STICKY_KEY_HEADER,
        description="While a canary goes on, one version answers all requests with the same "
        "value. By default, one version answers all requests with the same API key.",
    ),
]


class PredictQuery(Record):
    """The options of a request."""

    top_k: int | None = Field(
        None, ge=1, description="Only the probabilities of this many classes, best first."
    )
    timeout_ms: int | None = Field(
        None, ge=1, description="Longest the prediction may take, up to the service's own limit."
    )
    keep_image: Flag = Field(False, description=KEEP_IMAGE)
    source: Source = Field(None, description=SOURCE)

    def ask(
        self, client: str, sticky_key: str | None, settings: Settings, *, keep_image: bool = False
    ) -> Ask:
        """Return the options, from the query or the body. The time counts from now."""
        allowed_s = settings.gateway_deadline_s
        if self.timeout_ms is not None:
            allowed_s = min(allowed_s, self.timeout_ms / 1000)
        keep_image = keep_image or self.keep_image
        due_at_s = time.monotonic() + allowed_s
        return Ask(
            sticky_key or client, due_at_s, self.top_k, keep_image, client, self.source or ""
        )


_LABELLED = {
    "label_id": 42,
    "prediction_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "label": "car",
}


class LabelRequest(BaseModel):
    """The label of a predicted image."""

    label: PlainText = Field(examples=["car"])


class LabelAnswer(Record, json_schema_extra={"examples": [_LABELLED]}):
    """The label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str


def add_predict_routes(
    app: FastAPI, access: Access, served: ServedModels, admission: Admission, settings: Settings
) -> None:
    """Add the routes of predictions: of the default model, and of one that is named."""
    guard = access.require(Scope.PREDICT)
    reader = ImageReader(settings.max_predicted_image_bytes, settings.body_idle_timeout_s)

    async def predicted(
        request: Request, query: PredictQuery, client: str, name: str | None
    ) -> Response:
        predictor = served.find(name).predictor
        admission.check(client)
        with admission.held_bytes(client) as held:
            received = await reader.read(request, held)
            sticky_key = request.headers.get(STICKY_KEY_HEADER)
            ask = query.ask(client, sticky_key, settings, keep_image=received.keep_image)
            if received.is_list:
                return _json(await predict_list(predictor, admission, received.images, ask))
            async with admission.place(client):
                return _json(await predictor.predict(received.single(), ask))

    async def predict(
        query: Annotated[PredictQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
        sticky_key: StickyKey = None,
    ) -> None:
        """Ask what one image shows, or each image of a list.

        One image is sent raw or as the field `file` of a form; several as its fields `files`, or in
        JSON. If an image of a list cannot be predicted, it has a refusal in place of a prediction.
        """

    async def predict_by(
        name: str,
        query: Annotated[PredictQuery, Query()],
        principal: Annotated[Principal, Depends(guard)],
        sticky_key: StickyKey = None,
    ) -> None:
        """Ask a model by its name; see `/v1/predict`, which asks the default one."""

    async def answer(request: Request) -> Response:
        principal = await guard(request, None)
        query = read_query(PredictQuery, request)
        return await predicted(request, query, principal.name, request.path_params.get("name"))

    _add_predict_route(app, "/v1/predict", predict, answer, "Predict images")
    by_name = "/v1/models/{name}/predict"
    _add_predict_route(app, by_name, predict_by, answer, "Ask a model by its name", NOT_FOUND)


def _add_predict_route(
    app: FastAPI,
    path: str,
    documented: Callable[..., Awaitable[None]],
    answer: Callable[[Request], Awaitable[Response]],
    summary: str,
    further: Mapping[int | str, dict[str, Any]] = MappingProxyType({}),
) -> None:
    """Add a route that is documented by the signature of a function that nobody calls."""
    app.router.add_api_route(
        path,
        documented,
        methods=["POST"],
        tags=[PREDICTIONS.name],
        summary=summary,
        response_model=PredictionAnswer | ListAnswer,
        responses={**PREDICT_PROBLEMS, **further},
        openapi_extra=OPENAPI_BODY,
        route_class_override=direct(answer),
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

    def add(prediction_id: UUID, label: str, author: str) -> LabelAnswer:
        with catalog.begin() as session:
            made_by = model_of(session, prediction_id)
            payload = by_name.get(made_by or "", models[0]).payload_of(label)
            row = add_prediction_label(session, prediction_id, payload, FEEDBACK, author)
            return LabelAnswer(label_id=row.annotation_id, prediction_id=prediction_id, label=label)

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

        It counts for the measured accuracy. If the image was kept, models are trained on it, too.
        """
        body = body_of(
            request, max_bytes=MAX_LABEL_BYTES, idle_timeout_s=settings.body_idle_timeout_s
        )
        label = read_json(LabelRequest, await whole(body)).label
        return await run_in_threadpool(add, prediction_id, label, principal.name)


def _json(answer: Record) -> Response:
    """Answer with a record. FastAPI would validate it again and take it apart in Python."""
    return Response(answer.model_dump_json(), media_type=JSON_TYPE)
