"""Promotions and rollbacks: gate, version folder, switch of every server, one row in the catalog.

The newest release row names the version that must serve. It is written before the switch, in the
transaction that holds the model's release lock, and committed after it. A release that dies halfway
leaves the old champion, and `converge` brings the servers back to it.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from visionops_assets.catalog.releases import (
    Action,
    add_release,
    champion,
    newest_release,
    version_before,
)
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import ReleasedModel
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.releasing.audit import Audit, Order, as_json
from visionops_assets.releasing.controller import Controller, end, passing_verdict
from visionops_assets.releasing.manifest import sha256_by_file
from visionops_assets.releasing.publishing import Publisher
from visionops_assets.releasing.replica import Version
from visionops_assets.releasing.smoke import SmokeTest


@dataclass(frozen=True)
class ReleaseOutcome:
    """A release and its test: `smoke_test` is None if the version was champion already."""

    released: ReleasedModel
    smoke_test: SmokeTest | None
    folder: str
    bytes_by_file: dict[str, int]
    sha256_by_file: dict[str, str]


class Releaser:
    """Changes the champion of a model."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def promote(self, model_name: str, version: int, order: Order) -> ReleaseOutcome:
        """Make an exported version the champion; if it is already, only check that it is served.

        Raises:
            GateRefusedError: no verdict in the catalog passes it against today's champion.
            ReleaseError: it failed; what served before still serves.
        """
        audit = Audit(model_name, version, order)
        with self._controller.locked(audit) as session:
            outcome = self.promote_in(session, audit)
        crash_point(CrashPoint.RELEASE_COMMITTED)
        return outcome

    def promote_in(self, session: Session, audit: Audit) -> ReleaseOutcome:
        """Do what `promote` does, in a transaction that holds the release lock."""
        name, version = audit.model_name, audit.model_version
        publisher, replicas = self._controller.publisher(name), self._controller.replicas(name)
        current = champion(session, name)
        if current is not None and current.model_version == version:
            served = publisher.released(current)
            replicas.converge(served)
            return _outcome(publisher, current, served, None)
        previous_version = current.model_version if current else None
        verdict = passing_verdict(session, name, version, previous_version)
        new = publisher.publish(session, version)
        crash_point(CrashPoint.RELEASE_FOLDER_WRITTEN)
        release = self._add_release(session, audit, new, previous_version, verdict.snapshot_id)
        audit.note(session, Action.PROMOTED, as_json(verdict))
        smoke_test = replicas.promote(new, previous_version)
        return _outcome(publisher, release, new, smoke_test)

    def roll_back(
        self, model_name: str, order: Order, to: int | None = None, *, of_release: int | None = None
    ) -> ReleaseOutcome:
        """Make the previous champion, or any version that served, the champion again.

        That version passed the gate once. It is neither judged nor rehearsed again: a rollback is
        urgent. With `of_release`, only that release is rolled back, not one that came meanwhile.

        Raises:
            NotFoundError: there is no version to go back to, or it was never released.
            InvalidRequestError: it is champion already, or the champion is not that of
                `of_release`.
            ReleaseError: it failed; what served before still serves.
        """
        # Chosen before the wait for the lock: the second of two rollbacks at once must not go back
        # further than its caller saw.
        version = to or self._version_before_champion(model_name)
        audit = Audit(model_name, version, order)
        with self._controller.locked(audit) as session:
            current = champion(session, model_name)
            earlier = newest_release(session, model_name, version)
            if current is None or earlier is None:
                raise NotFoundError(f"{model_name} {version} was never released.")
            if of_release not in {None, current.release_id}:
                raise InvalidRequestError(
                    f"Version {current.model_version} of {model_name} became champion meanwhile: "
                    "the rollback was not meant for it."
                )
            if current.model_version == version:
                raise InvalidRequestError(f"{model_name} {version} is champion already.")
            publisher = self._controller.publisher(model_name)
            target = publisher.released(earlier)
            release = self._add_release(
                session, audit, target, current.model_version, earlier.snapshot_id
            )
            audit.note(session, Action.ROLLED_BACK)
            smoke_test = self._controller.replicas(model_name).roll_back(
                target, current.model_version
            )
        crash_point(CrashPoint.RELEASE_COMMITTED)
        return _outcome(publisher, release, target, smoke_test)

    def _add_release(
        self,
        session: Session,
        audit: Audit,
        new: Version,
        previous_version: int | None,
        snapshot_id: str,
    ) -> Release:
        """Note the new champion, and end a rollout: its comparison with the old one is over."""
        name, version = audit.model_name, audit.model_version
        rollout = active_rollout(session, name)
        if rollout is not None:
            promoted = rollout.model_version == version
            reason = audit.order.reason if promoted else f"Version {version} became champion."
            end(session, rollout, audit.order, reason, promoted=promoted)
        return add_release(
            session,
            Release(
                model_name=name,
                model_version=version,
                previous_version=previous_version,
                snapshot_id=snapshot_id,
                manifest_sha256=self._controller.publisher(name).repository.manifest_sha256(
                    new.number
                ),
                dagster_run_id=audit.order.dagster_run_id,
            ),
        )

    def _version_before_champion(self, model_name: str) -> int:
        with self._controller.catalog.begin() as session:
            current = champion(session, model_name)
            before = version_before(session, model_name, current.model_version) if current else None
        if before is None:
            raise NotFoundError(
                f"No version of {model_name} was champion before: there is nothing to go back to. "
                "Name one with --to."
            )
        return before


def as_record(release: Release) -> ReleasedModel:
    """Return the public record of a release."""
    fields = {name: getattr(release, name) for name in ReleasedModel.model_fields}
    return ReleasedModel.model_validate(fields)


def _outcome(
    publisher: Publisher, release: Release, version: Version, smoke_test: SmokeTest | None
) -> ReleaseOutcome:
    return ReleaseOutcome(
        released=as_record(release),
        smoke_test=smoke_test,
        folder=publisher.repository.version_prefix(release.model_version),
        bytes_by_file={name: len(data) for name, data in sorted(version.files.items())},
        sha256_by_file=sha256_by_file(version.files),
    )
