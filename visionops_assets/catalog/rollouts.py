"""Canaries and shadows: the one under way, and the gateways' counts of it."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Self

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import RolloutEvidence, RolloutRow
from visionops_assets.contracts import Arm, Role, Rollout

LATENCY_BOUNDS_MS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1_000, 2_000)
"""Upper bounds of the buckets in which latencies are counted; a last bucket has no bound."""


@dataclass
class ArmEvidence:
    """The counts of one arm, by one gateway or by all together."""

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
        """Return the share of requests that failed by the server's fault; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def agreement(self) -> float | None:
        """Return the share of compared images with the same answer; None without any."""
        return self.agreed / self.compared if self.compared else None

    def latency_quantile_ms(self, quantile: float) -> float | None:
        """Estimate a quantile (0..1); None without answers, infinite past the last bound.

        The value is interpolated within its bucket. A bucket is up to twice as wide as the one
        before, so by bounds alone two nearly equal latencies could seem a factor of two apart.
        """
        answered = sum(self.latency_counts)
        if not answered:
            return None
        rank = quantile * answered
        reached = list(accumulate(self.latency_counts))
        bucket = next(i for i, count in enumerate(reached) if count >= rank and count)
        if bucket == len(LATENCY_BOUNDS_MS):
            return inf
        low = LATENCY_BOUNDS_MS[bucket - 1] if bucket else 0
        before = reached[bucket] - self.latency_counts[bucket]
        within = (rank - before) / self.latency_counts[bucket]
        return low + within * (LATENCY_BOUNDS_MS[bucket] - low)

    def slower_than(self, limit_ms: float) -> int:
        """Estimate how many answers took longer.

        Of a bucket that the limit divides, a part counts. Answers past the last bound all count,
        unless the limit is infinite.
        """
        if limit_ms == inf:
            return 0
        bucket = bisect_left(LATENCY_BOUNDS_MS, limit_ms)
        if bucket == len(LATENCY_BOUNDS_MS):
            return self.latency_counts[bucket]
        low = LATENCY_BOUNDS_MS[bucket - 1] if bucket else 0
        above = (LATENCY_BOUNDS_MS[bucket] - limit_ms) / (LATENCY_BOUNDS_MS[bucket] - low)
        return round(above * self.latency_counts[bucket]) + sum(self.latency_counts[bucket + 1 :])

    def __add__(self, other: Self) -> "ArmEvidence":
        """Return the sum of both counts."""
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


def was_tried(session: Session, model_name: str, model_version: int) -> bool:
    """Say whether a version was ever a canary or shadow."""
    query = select(RolloutRow.rollout_id).where(
        RolloutRow.model_name == model_name, RolloutRow.model_version == model_version
    )
    return session.scalar(query.limit(1)) is not None


def seconds_since_last_end(session: Session, model_name: str) -> float | None:
    """Return the seconds since a model's last rollout by the database's clock, or None."""
    age = func.extract("epoch", func.clock_timestamp() - func.max(RolloutRow.ended_at))
    seconds = session.scalar(select(age).where(RolloutRow.model_name == model_name))
    return None if seconds is None else float(seconds)


def rollout_age_s(session: Session, rollout_id: int) -> float:
    """Return the seconds since a rollout began, by the database's clock."""
    age = func.extract("epoch", func.clock_timestamp() - RolloutRow.started_at)
    return float(session.scalars(select(age).where(RolloutRow.rollout_id == rollout_id)).one())


def start_rollout(
    session: Session,
    *,
    model_name: str,
    model_version: int,
    champion_version: int,
    role: Role,
    share_percent: float,
    min_agreement: float | None = None,
) -> Rollout:
    """Begin one. The caller holds the model's release lock and saw that none is under way.

    `min_agreement` replaces that of the rule.
    """
    row = RolloutRow(
        model_name=model_name,
        model_version=model_version,
        champion_version=champion_version,
        role=role.value,
        share_percent=share_percent,
        min_agreement=min_agreement,
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
    """Note a gateway's counts since the rollout began, in place of its earlier note."""
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
    """Return the counts of all gateways together, by arm."""
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
    """Fit counts to our buckets, if a gateway of another version has other ones."""
    buckets = len(LATENCY_BOUNDS_MS) + 1
    return [*stored, *([0] * buckets)][:buckets]


def _rollout(row: RolloutRow) -> Rollout:
    return Rollout.model_validate({name: getattr(row, name) for name in Rollout.model_fields})
