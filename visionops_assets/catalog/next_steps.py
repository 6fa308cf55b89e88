"""Says in one sentence what to do next about a model. Pure, on what `standing.py` reads.

The command line, the gateway and all others use this one rule, so that nobody is told two things.
No sentence names an address: the gateway's clients may be anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import ceil

from visionops_assets.contracts import GateState, GateVerdict
from visionops_assets.vision.recipe import budget_for

IMPORT = "`visionops import FOLDER --label-by-folder`"


_SAID = {
    GateState.PASSED: "passed the gate and is not released",
    GateState.REFUSED: "was refused by the gate",
    GateState.UNDECIDED: "has too small a holdout for the gate to decide",
}


class Part(StrEnum):
    """The part that a version plays now, or played."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    RELEASED_BEFORE = "released before"
    TRIED_BEFORE = "tried before"
    NEVER_RELEASED = "never released"


@dataclass(frozen=True)
class VersionStanding:
    """A version that the gate judged, what it was trained on, and its part.

    Frames and classes are those of its snapshot, None if the catalog does not have it.
    """

    verdict: GateVerdict
    decided_at: datetime
    dagster_run_id: str
    part: Part
    train_frames: int | None = None
    holdout_frames: int | None = None
    classes: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """Return the number of the version."""
        return self.verdict.model_version


@dataclass(frozen=True)
class ModelStanding:
    """All judged versions of a model, newest first, and what the next one waits for.

    `waiting_snapshot_id` is the newest snapshot if none of its models was judged. `labelled_frames`
    counts those that the newest snapshot lacks, `frames_per_class` those that a class needs to be
    judged.
    """

    model_name: str
    champion_version: int | None
    versions: tuple[VersionStanding, ...]
    waiting_snapshot_id: str | None
    labelled_frames: int
    frames_per_class: int
    holdout_percent: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Frames of each class that the newest snapshot lacks, since too few can be judged."""

    def find(self, version: int) -> VersionStanding | None:
        """Return one version, or None if the gate never judged it."""
        return next((found for found in self.versions if found.version == version), None)


def next_step(of: VersionStanding, standing: ModelStanding) -> str:
    """Say what to do about a version."""
    version = of.version
    match of.part:
        case Part.CHAMPION:
            return "Nothing: it serves."
        case Part.CANARY | Part.SHADOW:
            return f"Wait: the {of.part.value} ends by rule. `visionops releases ls` shows it."
        case Part.RELEASED_BEFORE:
            back = f"`visionops releases rollback --to {version} --reason WHY`"
            return f"Nothing: it served before. To go back to it: {back}."
        case _ if of is not standing.versions[0]:
            return f"Nothing: version {standing.versions[0].version} came after it."
        case Part.TRIED_BEFORE:
            return f"Nothing: it lost its rollout. Add labelled media: {IMPORT}."
        case Part.NEVER_RELEASED:
            return _step_to_a_release(of, standing)


def what_is_left_out(standing: ModelStanding) -> str | None:
    """Say which classes the newest snapshot lacks, and how many frames they need; None if none."""
    if not standing.left_out:
        return None
    found = ", ".join(f"{name} ({count})" for name, count in sorted(standing.left_out.items()))
    return f"{found}: each class needs about {standing.frames_per_class} labelled frames."


def is_on_its_way(standing: ModelStanding) -> bool:
    """Say whether a model will serve without anybody doing something first."""
    if standing.champion_version is not None or not standing.versions:
        return True
    return standing.waiting_snapshot_id is not None or standing.versions[0].verdict.passed


def why_nothing_serves(standing: ModelStanding) -> str:
    """Say why no version serves and what to do, or that the champion is on its way."""
    name = standing.model_name
    if standing.champion_version is not None:
        return f"Version {standing.champion_version} of {name} is being loaded. Try again soon."
    if not standing.versions:
        return f"No model {name} serves, for none was trained yet. {what_is_awaited(standing)}"
    newest = standing.versions[0]
    said = _SAID[newest.verdict.state]
    step = next_step(newest, standing)
    return f"No model {name} serves: its newest version, {newest.version}, {said}. {step}"


def in_one_sentence(standing: ModelStanding) -> str:
    """Say what serves, and whether a newer version does not."""
    if standing.champion_version is None:
        return why_nothing_serves(standing)
    serves = f"Version {standing.champion_version} of {standing.model_name} serves."
    newest = standing.versions[0] if standing.versions else None
    if newest is None or newest.part is not Part.NEVER_RELEASED:
        return serves
    return (
        f"{serves} The newest version, {newest.version}, {_SAID[newest.verdict.state]}: "
        "`visionops models show` says what to do."
    )


def what_is_awaited(standing: ModelStanding) -> str:
    """Say what the next version waits for, and what to do."""
    if standing.waiting_snapshot_id is not None:
        return (
            f"A model of snapshot {standing.waiting_snapshot_id} is in training, or waits for it. "
            "If it takes long, look at the runs of train_and_release in Dagster."
        )
    found, needed = standing.labelled_frames, standing.frames_per_class
    if not found:
        return f"There are no newly labelled frames. Add labelled media: {IMPORT}."
    counted = "is 1 newly labelled frame" if found == 1 else f"are {found} newly labelled frames"
    return (
        f"There {counted}. A dataset is cut once labels pause, if two "
        f"classes or more have about {needed} frames each. To add media: {IMPORT}."
    )


def _step_to_a_release(of: VersionStanding, standing: ModelStanding) -> str:
    verdict = of.verdict
    if verdict.state is GateState.UNDECIDED:
        return _label_more(of, standing)
    if verdict.state is GateState.REFUSED:
        return _mend(of, standing)
    if verdict.champion_version != standing.champion_version:
        return (
            "Train again with `visionops train`: the gate compared it with "
            f"{_champion(verdict.champion_version)}, and version {standing.champion_version} "
            "serves now."
        )
    promote = f"`visionops releases promote {verdict.model_version} --reason WHY`"
    return f"Wait: the run that trained it releases it. If that run is over: {promote}."


def _label_more(of: VersionStanding, standing: ModelStanding) -> str:
    verdict = of.verdict
    keeps = _keeps(standing)
    if verdict.groups_needed is None:
        return (
            f"{keeps}{'The two are about equally good. ' if keeps else ''}Add labelled media "
            f"({IMPORT}), or train longer: {_longer(of)}."
        )
    overall = ceil(verdict.groups_needed * 100 / standing.holdout_percent)
    return (
        f"{keeps}Label about {overall} more groups (videos, or images that are not copies): "
        f"{IMPORT}. "
        f"About {verdict.groups_needed} of them go into the holdout. Training then starts."
    )


def _mend(of: VersionStanding, standing: ModelStanding) -> str:
    return (
        f"{_keeps(standing)}Add labelled media, above all of classes that it mixes up: {IMPORT}. "
        f"Or train longer on the same data: {_longer(of)}."
    )


def _keeps(standing: ModelStanding) -> str:
    serves = standing.champion_version
    return f"Version {serves} serves on. " if serves is not None else ""


def _longer(of: VersionStanding) -> str:
    """Name twice the steps that its data get by default."""
    if of.train_frames is None:
        return "`visionops train --steps N`"
    steps = budget_for(of.train_frames, len(of.classes)).steps
    return f"`visionops train --steps {2 * steps}` (by default {steps})"


def _champion(version: int | None) -> str:
    return "no champion" if version is None else f"champion {version}"
