"""Canaries and shadows: which one is under way, and what the gateways saw of it."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import RolloutEvidence, RolloutRow
from visionops_assets.contracts import Arm, Role, Rollout

LATENCY_BOUNDS_MS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1_000, 2_000)
"""Upper bounds of the buckets in which latencies are counted; one more holds what is above."""


@dataclass
class ArmEvidence:
    """What was seen of one arm: by one gateway, or by all together."""

    requests: int = 0
    errors: int = 0
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    compared: int = 0
    agreed: int = 0

    def observe(self, latency_ms: float) -> None:
        """Count one answer."""
        self.requests += 1
        self.latency_counts[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1

    def fail(self) -> None:
        """Count one request that the server did not answer."""
        self.requests += 1
        self.errors += 1

    def compare(self, *, agreed: bool) -> None:
        """Count one image that both arms answered."""
        self.compared += 1
        self.agreed += agreed

    @property
    def error_rate(self) -> float:
        """Share of requests that failed by the server's fault; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def agreement(self) -> float | None:
        """Share of compared images with the same label; None if none was compared."""
        return self.agreed / self.compared if self.compared else None

    def latency_quantile_ms(self, quantile: float) -> float | None:
        """Upper bound of the bucket that holds a quantile (0..1); None without answers."""
        answered = sum(self.latency_counts)
        if not answered:
            return None
        reached = accumulate(self.latency_counts)
        bucket = next(i for i, count in enumerate(reached) if count >= quantile * answered)
        return float((*LATENCY_BOUNDS_MS, float("inf"))[bucket])

    def __add__(self, other: Self) -> "ArmEvidence":
        """Return what both saw."""
        return ArmEvidence(
            self.requests + other.requests,
            self.errors + other.errors,
            [a + b for a, b in zip(self.latency_counts, other.latency_counts, strict=True)],
            self.compared + other.compared,
            self.agreed + other.agreed,
        )


def active_rollout(session: Session, model_name: str) -> Rollout | None:
    """Return the canary or shadow that is under way, or None."""
    query = select(RolloutRow).where(
        RolloutRow.model_name == model_name, RolloutRow.ended_at.is_(None)
    )
    row = session.scalar(query)
    return _rollout(row) if row else None


def start_rollout(
    session: Session,
    *,
    model_name: str,
    model_version: int,
    champion_version: int,
    role: Role,
    share_percent: float,
) -> Rollout:
    """Begin one. The caller holds the model's release lock and saw that none is under way."""
    row = RolloutRow(
        model_name=model_name,
        model_version=model_version,
        champion_version=champion_version,
        role=role.value,
        share_percent=share_percent,
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return _rollout(row)


def end_rollout(session: Session, rollout_id: int) -> None:
    """End one; gateways stop sending it requests within seconds."""
    session.execute(
        update(RolloutRow)
        .where(RolloutRow.rollout_id == rollout_id, RolloutRow.ended_at.is_(None))
        .values(ended_at=func.now())
    )


def put_evidence(
    session: Session, rollout_id: int, replica: str, seen: Mapping[Arm, ArmEvidence]
) -> None:
    """Note all that one gateway has counted since the rollout began, in place of the last note."""
    for arm, evidence in seen.items():
        counts = {
            "requests": evidence.requests,
            "errors": evidence.errors,
            "latency_counts": evidence.latency_counts,
            "compared": evidence.compared,
            "agreed": evidence.agreed,
            "updated_at": func.now(),
        }
        key = {"rollout_id": rollout_id, "replica": replica, "arm": arm.value}
        session.execute(
            insert(RolloutEvidence)
            .values(**key, **counts)
            .on_conflict_do_update(index_elements=list(key), set_=counts)
        )


def evidence(session: Session, rollout_id: int) -> dict[Arm, ArmEvidence]:
    """Return what all gateways saw of each arm together."""
    rows = session.scalars(select(RolloutEvidence).where(RolloutEvidence.rollout_id == rollout_id))
    return _sum_by_arm(rows.all())


def _sum_by_arm(rows: Iterable[RolloutEvidence]) -> dict[Arm, ArmEvidence]:
    total = {arm: ArmEvidence() for arm in Arm}
    for row in rows:
        total[Arm(row.arm)] += ArmEvidence(
            row.requests, row.errors, _counts(row.latency_counts), row.compared, row.agreed
        )
    return total


def _counts(stored: Sequence[int]) -> list[int]:
    """Fit counts to the buckets, should a gateway of another version have other ones."""
    buckets = len(LATENCY_BOUNDS_MS) + 1
    return [*stored, *([0] * buckets)][:buckets]


def _rollout(row: RolloutRow) -> Rollout:
    return Rollout.model_validate({name: getattr(row, name) for name in Rollout.model_fields})
