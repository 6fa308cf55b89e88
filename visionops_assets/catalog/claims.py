"""Claims of items of labelling batches: who is at which, and until when.

A claim ends when its time is over, when it is given up, or when its item is labelled. Claims at the
same time never get the same item: each locks the rows that it takes, and passes over locked ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from visionops_assets.catalog.asked import is_labelled
from visionops_assets.catalog.labelling import batch_of
from visionops_assets.catalog.schema import LabellingBatch, LabellingItem, Media, PredictionRow
from visionops_assets.errors import NotFoundError, VisionOpsError


class NothingToClaimError(VisionOpsError):
    """The items of a batch are labelled, or claimed by others, or it is closed."""

    code = "nothing_to_claim"


class ClaimOfAnotherError(VisionOpsError):
    """An item is claimed by another key."""

    code = "claim_of_another"


@dataclass(frozen=True)
class Claim:
    """An item that somebody claimed, and all that is needed to answer it."""

    item_id: int
    claimed_until: datetime
    prediction_id: UUID | None
    answer: str | None
    has_image: bool
    media_id: UUID | None
    filename: str | None
    start_s: float | None
    end_s: float | None


def claim(
    session: Session, batch_id: int, claimant: str, limit: int, length: timedelta
) -> list[Claim]:
    """Claim up to `limit` items of a batch for a while: the first that nobody has.

    Items that were claimed before and not answered come last: others may know more.

    Raises:
        NotFoundError: there is no such batch.
        NothingToClaimError: no item is left.
    """
    batch = batch_of(session, batch_id)
    if batch.closed_at is not None:
        raise NothingToClaimError(f"Labelling batch {batch_id} is closed.")
    item = LabellingItem
    is_free = or_(item.claimed_until.is_(None), item.claimed_until <= func.now())
    offered = (
        select(item.item_id)
        .join(LabellingBatch, LabellingBatch.batch_id == item.batch_id)
        .where(item.batch_id == batch_id, is_free, ~is_labelled())
        .order_by(item.claimed_until.asc().nulls_first(), item.item_id)
        .limit(limit)
        .with_for_update(of=item, skip_locked=True)
    )
    taken = session.scalars(offered).all()
    if not taken:
        raise NothingToClaimError(
            f"Labelling batch {batch_id} has nothing to claim: {batch.labelled} of {batch.items} "
            "items are labelled, and others are at the rest. Ask again later."
        )
    session.execute(
        update(item)
        .where(item.item_id.in_(taken))
        .values(claimed_by=claimant, claimed_until=func.now() + length)
    )
    return claims_of(session, batch_id, claimant, taken)


def claims_of(
    session: Session, batch_id: int, claimant: str, item_ids: Sequence[int] | None = None
) -> list[Claim]:
    """Return the claims of somebody in a batch that are not answered and not over.

    With `item_ids`, only those of these items.

    Raises:
        NotFoundError: there is no such batch.
    """
    batch_of(session, batch_id)
    item = LabellingItem
    query = (
        select(
            item.item_id,
            item.claimed_until,
            item.prediction_id,
            PredictionRow.label,
            PredictionRow.image_key.is_not(None),
            item.media_id,
            Media.filename,
            item.start_s,
            item.end_s,
        )
        .join(LabellingBatch, LabellingBatch.batch_id == item.batch_id)
        .outerjoin(PredictionRow, PredictionRow.prediction_id == item.prediction_id)
        .outerjoin(Media, Media.media_id == item.media_id)
        .where(item.batch_id == batch_id, item.claimed_by == claimant)
        .where(item.claimed_until > func.now(), ~is_labelled())
        .order_by(item.item_id)
    )
    if item_ids is not None:
        query = query.where(item.item_id.in_(item_ids))
    rows: list[Any] = list(session.execute(query))
    return [Claim(*row) for row in rows]


def give_up(session: Session, batch_id: int, item_id: int, claimant: str) -> None:
    """Give an item back that somebody claimed; nothing happens if that is over already.

    Raises:
        NotFoundError: the batch has no such item.
        ClaimOfAnotherError: another has claimed it now.
    """
    item = session.get(LabellingItem, item_id, with_for_update=True)
    if item is None or item.batch_id != batch_id:
        raise NotFoundError(f"Labelling batch {batch_id} has no item {item_id}.")
    now = session.scalars(select(func.now())).one()
    if item.claimed_until is None or item.claimed_until <= now:
        return
    if item.claimed_by != claimant:
        raise ClaimOfAnotherError(
            f"Item {item_id} of labelling batch {batch_id} is claimed by another key until "
            f"{item.claimed_until.isoformat(timespec='seconds')}."
        )
    item.claimed_until = now
    session.flush()
