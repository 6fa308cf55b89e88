"""Rolls a bad release back when the arbiter decided so."""

from visionops_assets.catalog.decisions import newest_decision
from visionops_assets.catalog.releases import champion
from visionops_assets.contracts import Outcome
from visionops_assets.releasing.audit import ARBITER, Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.release import Releaser


def roll_back_as_decided(controller: Controller, model_name: str) -> str:
    """Roll back if the newest decision says so, and say what was done.

    Level-triggered: it compares the newest decision with the newest release. So a failed rollback
    is tried again, and a finished one is not.

    Raises:
        VisionOpsError: it failed, or another release came first.
    """
    with controller.catalog.begin() as session:
        decision = newest_decision(session, model_name)
        current = champion(session, model_name)
    if decision is None or decision.outcome != Outcome.ROLL_BACK or current is None:
        return "No rollback was decided."
    if decision.release_id != current.release_id:
        return f"The rollback of version {decision.model_version} is over."
    outcome = Releaser(controller).roll_back(
        model_name,
        Order(ARBITER, decision.reason),
        current.previous_version,
        of_release=current.release_id,
    )
    released = outcome.released
    return f"Rolled version {current.model_version} back to {released.model_version}."
