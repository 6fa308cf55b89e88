"""Who asks for a change of what serves, why, and the line about it in the audit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import Action, add_event, newest_verdict
from visionops_assets.contracts import GateVerdict
from visionops_assets.errors import (
    GateRefusedError,
    InvalidRequestError,
    NotFoundError,
    RolloutError,
    VisionOpsError,
)

RULE = "rollout rule"
"""The actor of changes that a rollout's evidence decided."""
ARBITER = "retrain arbiter"
"""The actor of changes that the labels of a release decided."""
ENGINE_RULE = "engine rule"
"""The actor of changes between an engine and ONNX."""
REFUSALS = (GateRefusedError, RolloutError, InvalidRequestError, NotFoundError)


@dataclass(frozen=True)
class Order:
    """Who asks for a change, and why. `dagster_run_id` is set if a Dagster run does it."""

    actor: str
    reason: str
    dagster_run_id: str | None = None

    @classmethod
    def of_run(cls, dagster_run_id: str, reason: str) -> "Order":
        """Return the order of a Dagster run."""
        return cls(f"dagster run {dagster_run_id}", reason, dagster_run_id)


@dataclass(frozen=True)
class Audit:
    """The audit of one version of a model, under one order."""

    model_name: str
    model_version: int
    order: Order

    def note(
        self,
        session: Session,
        action: Action,
        verdict: dict[str, Any] | None = None,
        reason: str = "",
    ) -> None:
        """Add a line, in the transaction of the change itself."""
        add_event(
            session,
            model_name=self.model_name,
            model_version=self.model_version,
            action=action,
            actor=self.order.actor,
            reason=reason or self.order.reason,
            verdict=verdict,
        )

    @contextmanager
    def of_failures(self, catalog: Catalog) -> Iterator[None]:
        """Add a line if the block fails, in a transaction of its own: the block's is rolled back.

        The error is raised again, even if the catalog cannot be reached to note it.
        """
        try:
            yield
        except BaseException as error:
            try:
                self._note_failure(catalog, error)
            except VisionOpsError as lost:
                logging.getLogger(__name__).warning("Not in the audit: %s", lost)
            raise

    def _note_failure(self, catalog: Catalog, error: BaseException) -> None:
        action = Action.REFUSED if isinstance(error, REFUSALS) else Action.FAILED
        found = str(error) or type(error).__name__
        with catalog.begin() as session:
            verdict = newest_verdict(session, self.model_name, self.model_version)
            asked = f"{self.order.reason} — {found}" if self.order.reason else found
            self.note(session, action, as_json(verdict), asked)


def as_json(verdict: GateVerdict | None) -> dict[str, Any] | None:
    """Put the gate's verdict into JSON, for the audit."""
    return None if verdict is None else verdict.model_dump(mode="json")
