"""Labelling batches over HTTP: their progress, and claims of what is to be labelled next."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Self
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from visionops_assets.catalog.claims import Claim, claim, claims_of, give_up
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.labelling import BatchProgress, batch_of, batches
from visionops_assets.contracts import TRAINING_ALONE, Purpose, Record, Scope
from visionops_assets.services.http.access import PROTECTED, Access, Principal
from visionops_assets.services.http.api_pages import Tag
from visionops_assets.services.http.problems import problems

LABELLING = Tag("labelling batches", "Labelling batches: files and predictions to be labelled.")
MAX_ITEMS = 100
MAX_CLAIM_S = 86_400
_MAX_ID = 2**63 - 1

_PROBLEMS = PROTECTED | problems(HTTPStatus.UNPROCESSABLE_ENTITY)
_OF_BATCH = _PROBLEMS | problems(HTTPStatus.NOT_FOUND)
_CONFLICT = problems(HTTPStatus.CONFLICT)
BatchId = Annotated[int, Path(ge=1, le=_MAX_ID, description="Number of the labelling batch.")]
ItemId = Annotated[int, Path(ge=1, le=_MAX_ID, description="Number of the item, by its claim.")]

_BATCH = {
    "batch_id": 3,
    "model": "classifier",
    "model_version": 8,
    "purpose": "audit",
    "decision_id": 41,
    "opened_at": "2026-01-31T12:00:07Z",
    "closed_at": None,
    "items": 200,
    "labelled": 57,
}
_CLAIM = {
    "item_id": 512,
    "claimed_until": "2026-01-31T12:30:07Z",
    "prediction_id": "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d",
    "answer": "car",
    "has_image": True,
    "media_id": None,
    "filename": None,
    "start_s": None,
    "end_s": None,
    "annotation_path": "/v1/predictions/0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d/annotation"
    "?model=classifier&answers_draw=true",
}


class BatchesQuery(Record):
    """Which batches are wanted."""

    model: str | None = Field(
        None, pattern=r"^[^\x00]+$", max_length=200, description="Only those of this model."
    )
    purpose: Purpose | None = Field(None, description="Only those of this purpose.")
    open: bool = Field(False, description="Only those that are open.")
    limit: int = Field(100, ge=1, le=1_000, description="Most batches in the answer.")


class ClaimQuery(Record):
    """How many items are claimed, and for how long."""

    items: int = Field(10, ge=1, le=MAX_ITEMS, description="Most items to claim.")
    for_s: int = Field(
        1_800, ge=10, le=MAX_CLAIM_S, description="After this time others may claim them."
    )


class BatchAnswer(Record, json_schema_extra={"examples": [_BATCH]}):
    """A labelling batch and its progress.

    `audit` and `holdout` judge a model; `selection` and `conflicts` train alone.
    """

    batch_id: int
    model: str
    model_version: int | None = None
    purpose: Purpose
    decision_id: int | None = None
    opened_at: datetime
    closed_at: datetime | None = None
    items: int
    labelled: int

    @classmethod
    def of(cls, batch: BatchProgress) -> Self:
        """Make the answer from a batch of the catalog."""
        return cls(
            batch_id=batch.batch_id,
            model=batch.model_name,
            model_version=batch.model_version,
            purpose=batch.purpose,
            decision_id=batch.decision_id,
            opened_at=batch.opened_at,
            closed_at=batch.closed_at,
            items=batch.items,
            labelled=batch.labelled,
        )


class BatchList(Record, json_schema_extra={"examples": [{"batches": [_BATCH]}]}):
    """Labelling batches, newest first."""

    batches: list[BatchAnswer]


class ClaimAnswer(Record, json_schema_extra={"examples": [_CLAIM]}):
    """An item that this key has claimed: a prediction, a file, or a part of a video.

    It is labelled by PUT to `annotation_path`: of this service for a prediction, of ingest for a
    file. Of a prediction, `answer` is the model's, and `has_image` says whether it was kept.
    """

    item_id: int
    claimed_until: datetime
    prediction_id: UUID | None = None
    answer: str | None = None
    has_image: bool
    media_id: UUID | None = None
    filename: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    annotation_path: str

    @classmethod
    def of(cls, claimed: Claim, batch: BatchProgress) -> Self:
        """Make the answer from a claim of an item of a batch."""
        query: dict[str, object] = {"model": batch.model_name}
        if claimed.start_s is not None:
            query |= {"start_s": claimed.start_s, "end_s": claimed.end_s}
        if claimed.prediction_id is not None and batch.purpose not in TRAINING_ALONE:
            query["answers_draw"] = "true"
        place = (
            f"media/{claimed.media_id}"
            if claimed.prediction_id is None
            else f"predictions/{claimed.prediction_id}"
        )
        return cls(
            item_id=claimed.item_id,
            claimed_until=claimed.claimed_until,
            prediction_id=claimed.prediction_id,
            answer=claimed.answer,
            has_image=claimed.has_image,
            media_id=claimed.media_id,
            filename=claimed.filename,
            start_s=claimed.start_s,
            end_s=claimed.end_s,
            annotation_path=f"/v1/{place}/annotation?{urlencode(query)}",
        )


class ClaimList(Record, json_schema_extra={"examples": [{"claims": [_CLAIM]}]}):
    """Claims of this key, in the order in which they are to be labelled."""

    claims: list[ClaimAnswer]


class _Door:
    """Does what a request about batches asks, in one transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def list(self, query: BatchesQuery) -> BatchList:
        """Return batches."""
        with self._catalog.begin() as session:
            found = batches(
                session,
                model_name=query.model,
                purpose=query.purpose,
                only_open=query.open,
                limit=query.limit,
            )
        return BatchList(batches=[BatchAnswer.of(batch) for batch in found])

    def claim(self, batch_id: int, query: ClaimQuery, name: str) -> ClaimList:
        """Claim items for a key."""
        with self._catalog.begin() as session:
            batch = batch_of(session, batch_id)
            length = timedelta(seconds=query.for_s)
            claimed = claim(session, batch_id, name, query.items, length)
        return ClaimList(claims=[ClaimAnswer.of(one, batch) for one in claimed])

    def claims(self, batch_id: int, name: str) -> ClaimList:
        """Return the claims of a key."""
        with self._catalog.begin() as session:
            batch = batch_of(session, batch_id)
            claimed = claims_of(session, batch_id, name)
        return ClaimList(claims=[ClaimAnswer.of(one, batch) for one in claimed])

    def give_up(self, batch_id: int, item_id: int, name: str) -> None:
        """Give a claim of a key up."""
        with self._catalog.begin() as session:
            batch_of(session, batch_id)
            give_up(session, batch_id, item_id, name)


def labelling_routes(access: Access, catalog: Catalog) -> APIRouter:
    """Build the routes of labelling batches, for keys that may label."""
    guard = access.require(Scope.LABEL)
    router = APIRouter(prefix="/v1/labelling-batches", tags=[LABELLING.name])
    door = _Door(catalog)
    by = Annotated[Principal, Depends(guard)]

    @router.get(
        "", summary="List labelling batches", responses=_PROBLEMS, dependencies=[Depends(guard)]
    )
    def list_batches(query: Annotated[BatchesQuery, Query()]) -> BatchList:
        """Return labelling batches with their purpose and progress, newest first."""
        return door.list(query)

    @router.post(
        "/{batch_id}/claims", summary="Claim what to label next", responses=_OF_BATCH | _CONFLICT
    )
    def claim_items(
        batch_id: BatchId, query: Annotated[ClaimQuery, Query()], principal: by
    ) -> ClaimList:
        """Claim the next items of a batch. Nobody else is offered them until the time is over.

        An item that gets its label is done; answer each by its `annotation_path`. To claim again
        gives further items, so a program that lost an answer reads its claims.
        """
        return door.claim(batch_id, query, principal.name)

    @router.get("/{batch_id}/claims", summary="List the own claims", responses=_OF_BATCH)
    def list_claims(batch_id: BatchId, principal: by) -> ClaimList:
        """Return the items that this key claimed and has not labelled, while their time lasts."""
        return door.claims(batch_id, principal.name)

    @router.delete(
        "/{batch_id}/claims/{item_id}",
        summary="Give a claim up",
        status_code=HTTPStatus.NO_CONTENT,
        responses=_OF_BATCH | _CONFLICT,
    )
    def give_claim_up(batch_id: BatchId, item_id: ItemId, principal: by) -> None:
        """Let others claim the item. It is offered after those that nobody claimed yet."""
        door.give_up(batch_id, item_id, principal.name)

    return router
