"""Changes the version that serves: with the servers, the folders, the lock and the gate."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import Action, lock_releases, newest_verdict
from visionops_assets.catalog.rollouts import end_rollout, evidence
from visionops_assets.contracts import GateVerdict, Rollout
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import GateRefusedError
from visionops_assets.releasing import judging
from visionops_assets.releasing.audit import Audit, Order
from visionops_assets.releasing.publishing import Publisher
from visionops_assets.releasing.replicas import Replicas
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import load_settings

PIPELINE = "classifier"
"""Folder of the served pipeline's templates, for models of any name."""


@dataclass(frozen=True)
class Controller:
    """The catalog, the object store and Triton, as releases use them."""

    catalog: Catalog
    object_store: ObjectStore
    triton: TritonServer
    pipelines_dir: Path

    @classmethod
    def of(cls, catalog: Catalog, object_store: ObjectStore, triton: TritonServer) -> Self:
        """Read the pipeline's templates from the folder in the settings."""
        return cls(catalog, object_store, triton, load_settings().project_root / "triton_models")

    def publisher(self, model_name: str) -> Publisher:
        """Return the publisher of a model's version folders."""
        return Publisher(self.object_store, self.pipelines_dir / PIPELINE, model_name)

    def replicas(self, model_name: str) -> Replicas:
        """Return all present Triton servers."""
        repository = self.publisher(model_name).repository
        return Replicas(repository, self.triton.replicas(), model_name)

    @contextmanager
    def locked(self, audit: Audit) -> Iterator[Session]:
        """Open the transaction of a change, in which nobody else can change this model.

        An error in the block is noted in the audit, and raised again.
        """
        with audit.of_failures(self.catalog), self.catalog.begin() as session:
            lock_releases(session, audit.model_name)
            crash_point(CrashPoint.RELEASE_LOCKED)
            yield session


def end(
    session: Session, rollout: Rollout, order: Order, reason: str, *, promoted: bool = False
) -> None:
    """End a rollout, and note its evidence in the audit."""
    end_rollout(session, rollout.rollout_id)
    audit = Audit(rollout.model_name, rollout.model_version, order)
    action = Action.ROLLOUT_PROMOTED if promoted else Action.ROLLOUT_ENDED
    audit.note(session, action, judging.as_json(evidence(session, rollout.rollout_id)), reason)


def passing_verdict(
    session: Session, model_name: str, version: int, champion_version: int | None
) -> GateVerdict:
    """Return the gate's verdict on a version, if it passes against today's champion.

    Raises:
        GateRefusedError: no verdict passes it.
    """
    verdict = newest_verdict(session, model_name, version)
    if verdict is None:
        raise GateRefusedError(f"{model_name} {version} was never evaluated: materialize it first.")
    if not verdict.passed:
        raise GateRefusedError(f"The gate did not pass {model_name} {version}. {verdict.reason}")
    if verdict.champion_version != champion_version:
        raise GateRefusedError(
            f"{model_name} {version} was compared with champion {verdict.champion_version}, but "
            f"{champion_version} is champion now: evaluate it again."
        )
    return verdict
