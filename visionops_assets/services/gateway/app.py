"""The gateway's HTTP interface."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.labels import add_prediction_label
from visionops_assets.services.gateway.body import OPENAPI_BODY, read_image
from visionops_assets.services.gateway.metrics import MetricsMiddleware, RequestMetrics
from visionops_assets.services.gateway.predictor import PredictionAnswer, Predictor
from visionops_assets.services.http_server import RequestLog
from visionops_assets.services.problems import install_problem_handlers
from visionops_assets.services.text import PlainText

FEEDBACK = "feedback"


class LabelRequest(BaseModel):
    """What a prediction should have been."""

    label: PlainText


class LabelAnswer(BaseModel):
    """The label as it was added."""

    label_id: int
    prediction_id: UUID
    label: str


def create_app(predictor: Predictor, catalog: Catalog) -> FastAPI:
    """Build the application. Neither Triton nor the catalog has to be up yet."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with predictor.connected():
            yield

    app = FastAPI(title="VisionOps gateway", lifespan=lifespan)
    metrics = RequestMetrics()
    install_problem_handlers(app)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    app.add_middleware(RequestLog)

    @app.post("/v1/predict", openapi_extra=OPENAPI_BODY)
    async def predict(request: Request) -> PredictionAnswer:
        """Predict one image, sent raw or as the field `file` of a form."""
        return await predictor.predict(await read_image(request))

    @app.post("/v1/predictions/{prediction_id}/label", status_code=201)
    def label_prediction(prediction_id: UUID, body: LabelRequest) -> LabelAnswer:
        """Say what a predicted image really shows. The newest label of a prediction counts."""
        with catalog.begin() as session:
            row = add_prediction_label(session, prediction_id, body.label, FEEDBACK)
            return LabelAnswer(label_id=row.label_id, prediction_id=prediction_id, label=row.label)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that this process answers; what it depends on has probes of its own."""
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def prometheus_metrics() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return app
