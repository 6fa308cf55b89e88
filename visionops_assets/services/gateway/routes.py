"""The gateway's HTTP routes of predictions."""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import Field

from visionops_assets.contracts import Record, Scope
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
from visionops_assets.services.http.problems import problems
from visionops_assets.settings import Settings

PREDICTIONS = Tag("predictions", "Answers of the model that serves.")

STICKY_KEY_HEADER = "X-Sticky-Key"

PREDICT_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.GATEWAY_TIMEOUT,
)
NOT_FOUND = problems(HTTPStatus.NOT_FOUND)
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


def _json(answer: Record) -> Response:
    """Answer with a record. FastAPI would validate it again and take it apart in Python."""
    return Response(answer.model_dump_json(), media_type=JSON_TYPE)
