"""The gateway's HTTP interface."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.labels import add_prediction_label
from visionops_assets.contracts import Scope
from visionops_assets.services.access import PROTECTED, Access
from visionops_assets.services.gateway.body import MAX_IMAGE_BYTES, OPENAPI_BODY, read_image
from visionops_assets.services.gateway.metrics import MetricsMiddleware, RequestMetrics
from visionops_assets.services.gateway.predictor import PredictionAnswer, Predictor
from visionops_assets.services.health import catalog_check, install_health
from visionops_assets.services.http_server import FORM_OVERHEAD_BYTES, BodyLimit, RequestLog
from visionops_assets.services.problems import install_problem_handlers, problems
from visionops_assets.services.text import PlainText
from visionops_assets.settings import Settings

FEEDBACK = "feedback"

_PREDICT_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_LABEL_PROBLEMS = PROTECTED | problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class LabelRequest(BaseModel):
    """What a prediction should have been."""

    label: PlainText


class LabelAnswer(BaseModel):
    """The label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str


def create_app(predictor: Predictor, catalog: Catalog, settings: Settings) -> FastAPI:
    """Build the application. Neither Triton nor the catalog has to be up yet."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with predictor.connected():
            yield

    app = FastAPI(title="VisionOps gateway", lifespan=lifespan)
    metrics = RequestMetrics()
    install_problem_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=MAX_IMAGE_BYTES + FORM_OVERHEAD_BYTES)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    app.add_middleware(RequestLog)
    install_health(app, {"Triton": predictor.check, "the catalog": catalog_check(catalog)})
    _add_routes(app, predictor, catalog, Access(catalog, settings))

    @app.get("/metrics", include_in_schema=False)
    async def prometheus_metrics() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_routes(app: FastAPI, predictor: Predictor, catalog: Catalog, access: Access) -> None:
    @app.post(
        "/v1/predict",
        dependencies=[Depends(access.require(Scope.PREDICT))],
        responses=_PREDICT_PROBLEMS,
        openapi_extra=OPENAPI_BODY,
    )
    async def predict(request: Request) -> PredictionAnswer:
        """Predict one image, sent raw or as the field `file` of a form."""
        return await predictor.predict(await read_image(request))

    @app.post(
        "/v1/predictions/{prediction_id}/label",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(access.require(Scope.LABEL))],
        responses=_LABEL_PROBLEMS,
    )
    def label_prediction(prediction_id: UUID, body: LabelRequest) -> LabelAnswer:
        """Say what a predicted image really shows. The newest label of a prediction counts."""
        with catalog.begin() as session:
            row = add_prediction_label(session, prediction_id, body.label, FEEDBACK)
            return LabelAnswer(label_id=row.label_id, prediction_id=prediction_id, label=row.label)
