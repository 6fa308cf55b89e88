"""`GET /v1/models` and `/v1/models/{name}`: the declared models, and what serves of each."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self

from fastapi import Depends, FastAPI
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import find_snapshot
from visionops_assets.catalog.releases import champion, newest_verdict
from visionops_assets.contracts import Record, Scope
from visionops_assets.contracts.models import FIRST_TASK
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.served import ServedModels
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.problems import problems

MODELS = Tag("models", "The declared models, and what serves of each.")

_CARD = {
    "name": "classifier",
    "task": FIRST_TASK,
    "description": "",
    "default": True,
    "version": 8,
    "since": "2026-03-01T12:00:00Z",
    "snapshot_id": "ds-3f2a9c01d4e5b607",
    "classes": ["bicycle", "bus", "car"],
    "frame_size_px": 64,
    "accuracy": 0.93,
    "accuracy_low": 0.9,
    "accuracy_high": 0.95,
}


class ModelCard(Record, json_schema_extra={"examples": [_CARD]}):
    """A declared model. While no version of it serves, the fields of a version are null."""

    name: str
    task: str
    description: str
    default: bool = Field(description="Whether requests that name no model mean this one.")
    version: int | None = Field(description="The version that serves: the champion.")
    since: datetime | None = Field(description="When it became champion.")
    snapshot_id: str | None = Field(description="The dataset that it was trained on.")
    classes: tuple[str, ...] | None
    frame_size_px: int | None = Field(description="Width and height that it sees.")
    accuracy: float | None = Field(description="On the holdout, by the gate, 0..1.")
    accuracy_low: float | None = Field(description="Lower limit of its 95 % interval.")
    accuracy_high: float | None = Field(description="Upper limit of its 95 % interval.")

    @classmethod
    def of(cls, session: Session, model: ModelDeclaration, *, default: bool) -> Self:
        """Read what serves of a model from the catalog."""
        current = champion(session, model.name)
        snapshot = find_snapshot(session, current.snapshot_id) if current else None
        verdict = newest_verdict(session, model.name, current.model_version) if current else None
        return cls(
            name=model.name,
            task=model.task,
            description=model.description,
            default=default,
            version=current.model_version if current else None,
            since=current.released_at if current else None,
            snapshot_id=current.snapshot_id if current else None,
            classes=tuple(snapshot.classes) if snapshot else None,
            frame_size_px=snapshot.spec["size_px"] if snapshot else None,
            accuracy=verdict.accuracy if verdict else None,
            accuracy_low=verdict.accuracy_low if verdict else None,
            accuracy_high=verdict.accuracy_high if verdict else None,
        )


class ModelList(Record, json_schema_extra={"examples": [{"models": [_CARD]}]}):
    """All declared models, the default one first."""

    models: tuple[ModelCard, ...]


def add_model_routes(app: FastAPI, access: Access, catalog: Catalog, served: ServedModels) -> None:
    """Add the routes."""

    def cards(models: Sequence[ModelDeclaration]) -> tuple[ModelCard, ...]:
        default = served.default.declaration
        with catalog.begin() as session:
            return tuple(ModelCard.of(session, m, default=m is default) for m in models)

    guard = access.require(Scope.PREDICT)

    @app.get("/v1/models", tags=[MODELS.name], summary="List the models", responses=PROTECTED)
    async def list_models(_: Annotated[Principal, Depends(guard)]) -> ModelList:
        """Say of each declared model what serves of it, and since when."""
        return ModelList(models=await run_in_threadpool(cards, served.declared))

    @app.get(
        "/v1/models/{name}",
        tags=[MODELS.name],
        summary="Describe a model",
        responses=PROTECTED | problems(HTTPStatus.NOT_FOUND),
    )
    async def describe_model(name: str, _: Annotated[Principal, Depends(guard)]) -> ModelCard:
        """Say what serves of one model: version, classes, accuracy."""
        (card,) = await run_in_threadpool(cards, [served.find(name).declaration])
        return card
