"""Models as they may stand, for tests of what is said about them."""

from datetime import UTC, datetime

from visionops_assets.catalog.next_steps import ModelStanding, Part, VersionStanding
from visionops_assets.contracts import GateState, GateVerdict


def version(
    number: int,
    state: GateState = GateState.PASSED,
    part: Part = Part.NEVER_RELEASED,
    *,
    champion: int | None = None,
    groups_needed: int | None = None,
) -> VersionStanding:
    verdict = GateVerdict(
        model_name="classifier",
        model_version=number,
        champion_version=champion,
        snapshot_id=f"ds-{number}",
        holdout_size=120,
        holdout_groups=120,
        accuracy=0.9,
        accuracy_low=0.83,
        accuracy_high=0.94,
        trivial_accuracy=0.4,
        champion_accuracy=None,
        passed=state is GateState.PASSED,
        state=state,
        groups_needed=groups_needed,
        reason="A test.",
    )
    return VersionStanding(
        verdict, datetime(2026, 1, 2, tzinfo=UTC), "run", part, 480, 120, ("cat", "dog")
    )


def standing(
    *versions: VersionStanding,
    champion: int | None = None,
    waiting: str | None = None,
    labelled: int = 0,
) -> ModelStanding:
    """Return the standing of a model whose versions are given newest first."""
    return ModelStanding("classifier", champion, versions, waiting, labelled, 25, 20)
