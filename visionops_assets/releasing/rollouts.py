"""Starts, judges and ends canaries and shadows. The gateways send them their traffic."""

from dataclasses import replace
from typing import Literal

from sqlalchemy.orm import Session

from visionops_assets.catalog.engines import wanted_engines
from visionops_assets.catalog.releases import Action, champion, try_lock_releases
from visionops_assets.catalog.rollouts import (
    active_rollout,
    evidence,
    rollout_age_s,
    start_rollout,
    was_tried,
)
from visionops_assets.contracts import Role, Rollout
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import RolloutError, VisionOpsError
from visionops_assets.releasing.audit import RULE, Audit, Order, as_json
from visionops_assets.releasing.controller import Controller, end, passing_verdict
from visionops_assets.releasing.judging import Outcome, RolloutRule, judge
from visionops_assets.releasing.release import Releaser

_STARTED = {Role.CANARY: Action.CANARY_STARTED, Role.SHADOW: Action.SHADOW_STARTED}


class Rollouts:
    """Tries versions beside the champion, one at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def start(
        self,
        model_name: str,
        version: int,
        role: Literal[Role.CANARY, Role.SHADOW],
        share_percent: float,
        order: Order,
        *,
        min_agreement: float | None = None,
    ) -> Rollout:
        """Load a version beside the champion on every server, and let gateways send it requests.

        `min_agreement` is the share of equal answers that it must reach, None for that of the rule:
        a version that repairs the champion will not agree with it.

        Raises:
            RolloutError: there is no champion to compare with, or another rollout is under way.
            GateRefusedError: no verdict passes the version against today's champion.
            ReleaseError: it does not load everywhere, or answers wrongly; it is loaded nowhere.
        """
        audit = Audit(model_name, version, order)
        with self._controller.locked(audit) as session:
            current_version = _version_to_beat(session, audit)
            verdict = passing_verdict(session, model_name, version, current_version)
            candidate = self._controller.publisher(model_name).publish(session, version)
            self._controller.replicas(model_name).load_candidate(candidate, role)
            crash_point(CrashPoint.ROLLOUT_LOADED)
            audit.note(session, _STARTED[role], as_json(verdict))
            return start_rollout(
                session,
                model_name=model_name,
                model_version=version,
                champion_version=current_version,
                role=role,
                share_percent=share_percent,
                min_agreement=min_agreement,
            )

    def start_once(
        self, model_name: str, version: int, share_percent: float, order: Order
    ) -> Rollout | None:
        """Start the canary of a version that was trained to repair the champion.

        Return None if it was tried before, with any result: a retried run must not give it a second
        chance.

        Raises:
            RolloutError, GateRefusedError, ReleaseError: as for `start`.
        """
        with self._controller.catalog.begin() as session:
            if was_tried(session, model_name, version):
                return None
        return self.start(model_name, version, Role.CANARY, share_percent, order, min_agreement=0)

    def stop(self, model_name: str, order: Order) -> Rollout:
        """End the rollout under way, without a judgement; it is unloaded within seconds.

        Raises:
            RolloutError: no rollout is under way.
        """
        with self._controller.catalog.begin() as session:
            rollout = active_rollout(session, model_name)
        if rollout is None:
            raise RolloutError(f"No canary or shadow of {model_name} is under way.")
        with self._controller.locked(Audit(model_name, rollout.model_version, order)) as session:
            if active_rollout(session, model_name) != rollout:
                raise RolloutError("It ended meanwhile: see `visionops releases ls`.")
            end(session, rollout, order, order.reason)
        return rollout

    def apply_rule(self, model_name: str, rule: RolloutRule) -> str:
        """Judge the rollout under way, act by the rule, and say what was done."""
        with self._controller.catalog.begin() as session:
            rollout = active_rollout(session, model_name)
            if rollout is None:
                return "No canary or shadow is under way."
            by_engine = wanted_engines(session, model_name, rollout.champion_version)
            judgement = judge(
                evidence(session, rollout.rollout_id),
                rule.for_rollout(rollout, by_engine=bool(by_engine)),
                rollout_age_s(session, rollout.rollout_id),
            )
        if judgement.outcome is Outcome.WAIT:
            return judgement.reason
        order = Order(RULE, judgement.reason)
        if judgement.outcome is Outcome.PASS and rollout.role is Role.CANARY:
            return self._promote(rollout, order)
        return self._end(rollout, order)

    def _promote(self, rollout: Rollout, order: Order) -> str:
        audit = Audit(rollout.model_name, rollout.model_version, order)
        try:
            with self._controller.locked(audit) as session:
                if active_rollout(session, rollout.model_name) != rollout:
                    return "It ended meanwhile."
                Releaser(self._controller).promote_in(session, audit)
        except VisionOpsError as error:
            reason = f"{order.reason} It was not promoted: {error}"
            return self._end(rollout, replace(order, reason=reason))
        return f"Promoted {rollout.role.value} version {rollout.model_version}. {order.reason}"

    def _end(self, rollout: Rollout, order: Order) -> str:
        with self._controller.catalog.begin() as session:
            if not try_lock_releases(session, rollout.model_name):
                return "A release is under way."
            if active_rollout(session, rollout.model_name) == rollout:
                end(session, rollout, order, order.reason)
        return f"Ended {rollout.role.value} version {rollout.model_version}. {order.reason}"


def _version_to_beat(session: Session, audit: Audit) -> int:
    current = champion(session, audit.model_name)
    if current is None:
        raise RolloutError(
            f"{audit.model_name} has no champion to compare with: promote a version first."
        )
    if current.model_version == audit.model_version:
        raise RolloutError(f"{audit.model_name} {audit.model_version} is the champion itself.")
    under_way = active_rollout(session, audit.model_name)
    if under_way is not None:
        raise RolloutError(
            f"The {under_way.role.value} of version {under_way.model_version} is under way: end it "
            "with `visionops releases stop`, or wait for its judgement."
        )
    return current.model_version
