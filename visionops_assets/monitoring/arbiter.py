"""The rule of the retrain arbiter, which decides about the champion. Pure, on plain values.

Only the alarm of the error stream (`vision.monitoring.sequential`) may change what serves, since
only labels say how often a model is right, and of those only the ones that answer a draw.
Confidences, drift and what volunteers report are doubts: they ask for labels.
Not here: gathering the facts (`gathering.py`), and acting on a decision (`decision.py`).
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

from visionops_assets.contracts import Outcome
from visionops_assets.models import ModelDeclaration
from visionops_assets.monitoring.facts import Facts, Retraining, Window

MIN_EARLIER_LABELS = 20
"""Labels of the version before that are needed to know that it was better."""
NEW_LABELS = "new_labels"
"""The guard that more labels lift."""
FEW_LABELS = 100
"""Labels in a window that are needed to settle a doubt."""
MAX_DOUBLINGS = 100
"""Most doublings of the cooldown, so that it stays a number; its own limit is far below."""


@dataclass(frozen=True)
class Rule:
    """The limits; each is a declared field, except that of the champion's accuracy."""

    min_accuracy: float
    significance: float
    min_new_labels: int
    cooldown_s: float
    max_cooldown_s: float
    rollback_within_labels: int
    reports: int

    @classmethod
    def of(cls, model: ModelDeclaration, min_accuracy: float) -> Self:
        """Take the limits as declared, and that of accuracy from `catalog.limits`."""
        return cls(
            min_accuracy=min_accuracy,
            significance=model.monitoring.drift_significance,
            min_new_labels=model.retraining.min_new_labels,
            cooldown_s=model.retraining.cooldown_s,
            max_cooldown_s=model.retraining.max_cooldown_s,
            rollback_within_labels=model.retraining.rollback_within_labels,
            reports=model.labelling.reports,
        )


@dataclass(frozen=True)
class Guard:
    """One condition of retraining. `passes_in_s` is None where time alone does not lift it."""

    name: str
    passed: bool
    found: str
    passes_in_s: float | None = None


@dataclass(frozen=True)
class Decision:
    """An action, its reason and its evidence. `look_again_in_s`: when time may change it."""

    outcome: Outcome
    reason: str
    evidence: dict[str, Any]
    look_again_in_s: float | None = None


def decide(facts: Facts, rule: Rule) -> Decision:
    """Decide about the champion.

    With the alarm: roll back if it came soon after a promotion and the version before raised none.
    Else retrain if all guards pass, or ask for labels if only labelled images are missing. Without
    the alarm: retrain if it learned from what was erased since; else ask for labels if there is a
    doubt and no labelling batch is open.
    """
    guards = retraining_guards(facts.retraining, rule)
    look_again_in_s = None
    if facts.stream.alarm_at is None:
        outcome, reason = _without_alarm(facts, rule, guards)
    else:
        outcome, reason = _with_alarm(facts, rule, guards)
        if outcome is Outcome.WAIT:
            look_again_in_s = max(
                (g.passes_in_s for g in guards if not g.passed and g.passes_in_s is not None),
                default=None,
            )
    return Decision(outcome, reason, _evidence(facts, rule, guards), look_again_in_s)


def retraining_guards(found: Retraining, rule: Rule) -> list[Guard]:
    """Return every guard of retraining, passed or not."""
    doublings = min(found.failures, MAX_DOUBLINGS)
    cooldown_s = min(rule.cooldown_s * 2.0**doublings, rule.max_cooldown_s)
    left_s = 0.0 if found.last_age_s is None else max(0.0, cooldown_s - found.last_age_s)
    refused = f" after {found.failures} that came to nothing" if found.failures else ""
    return [
        Guard(
            "in_flight",
            found.in_flight is None,
            found.in_flight or "no retraining is under way",
            found.gives_up_in_s,
        ),
        Guard(
            "rollout",
            found.rollout is None,
            f"a {found.rollout} is being tried" if found.rollout else "no rollout is under way",
        ),
        Guard(
            "cooldown",
            left_s == 0,
            f"the next retraining may begin in {left_s:.0f} s: the cooldown is {cooldown_s:.0f} s"
            f"{refused}"
            if left_s
            else "the cooldown is over",
            left_s,
        ),
        Guard(
            NEW_LABELS,
            found.new_frames >= rule.min_new_labels,
            f"{found.new_frames} newly labelled frames, and {rule.min_new_labels} are needed",
        ),
    ]


def _with_alarm(facts: Facts, rule: Rule, guards: list[Guard]) -> tuple[Outcome, str]:
    stream = facts.stream
    alarm = (
        f"Version {facts.model_version} raised the alarm at label {stream.alarm_at}: "
        f"{_accuracy(facts)}, and {rule.min_accuracy:.3g} is the limit."
    )
    if goes_back(facts, rule) and facts.earlier:
        before = facts.earlier
        return Outcome.ROLL_BACK, (
            f"{alarm} That is within {rule.rollback_within_labels} labels of its release, and "
            f"version {before.model_version} before it raised none in {before.stream.labels} "
            f"labels with {before.stream.errors} errors."
        )
    held = [guard for guard in guards if not guard.passed]
    if held:
        outcome = Outcome.ASK_FOR_LABELS if _can_ask_for_frames(facts, rule, held) else Outcome.WAIT
        found = "; ".join(guard.found for guard in held)
        return outcome, f"{alarm} It is not trained anew yet: {found}."
    return Outcome.RETRAIN, (
        f"{alarm} There are {facts.retraining.new_frames} newly labelled frames to train on."
    )


def _can_ask_for_frames(facts: Facts, rule: Rule, held: list[Guard]) -> bool:
    """Say whether a retraining lacks only labels, and there are images to label."""
    if facts.open_batch or [guard.name for guard in held] != [NEW_LABELS]:
        return False
    return facts.retraining.new_frames + facts.askable_images >= rule.min_new_labels


def goes_back(facts: Facts, rule: Rule) -> bool:
    """Say whether the release is to blame for the alarm: the version before was better.

    A rollback is not undone: that would go back and forth.
    """
    alarm_at, before = facts.stream.alarm_at, facts.earlier
    if alarm_at is None or alarm_at > rule.rollback_within_labels:
        return False
    if before is None or facts.is_rollback:
        return False
    return before.stream.alarm_at is None and before.stream.labels >= MIN_EARLIER_LABELS


def _without_alarm(facts: Facts, rule: Rule, guards: list[Guard]) -> tuple[Outcome, str]:
    # New labels are not needed: less is learned, not more.
    if facts.learned_forgotten and all(g.passed for g in guards if g.name != NEW_LABELS):
        return Outcome.RETRAIN, (
            f"Version {facts.model_version} learned from media that were erased since: it is "
            "trained anew without them."
        )
    doubt = _doubt(facts, rule)
    accuracy = _accuracy(facts)
    standing = f"{accuracy[:1].upper()}{accuracy[1:]}; {_evidence_words(facts)}."
    if doubt is None:
        return Outcome.WAIT, standing
    if facts.open_batch:
        return Outcome.WAIT, f"{standing} {doubt} Labels are asked for already: {facts.open_batch}."
    if not facts.askable:
        return Outcome.WAIT, f"{standing} {doubt} But there is no prediction left to ask about."
    return Outcome.ASK_FOR_LABELS, f"{standing} {doubt}"


def _doubt(facts: Facts, rule: Rule) -> str | None:
    """Name the doubt about the model that needs no labels, or None.

    Labels that show the newest predictions to be right settle a doubt: it must not ask for labels
    for ever.
    """
    window = facts.window
    is_known = window.labelled >= FEW_LABELS
    if is_known and window.accuracy and window.accuracy.low >= rule.min_accuracy:
        return None
    if facts.reports >= rule.reports:
        return (
            f"{facts.reports} of its answers were reported wrong since labels were last asked for."
        )
    return _doubt_of(window, rule, is_known=is_known)


def _doubt_of(window: Window, rule: Rule, *, is_known: bool) -> str | None:
    """Name the doubt that confidences or drift raise, or None."""
    estimate = window.estimated_accuracy
    if estimate is not None and estimate.high < rule.min_accuracy:
        return (
            f"By confidence its accuracy is {estimate}, which is below the limit of "
            f"{rule.min_accuracy:.3g}."
        )
    if window.embedding_p is None or window.embedding_p >= rule.significance:
        return None
    drifted = f"Its images drifted (p = {window.embedding_p:.2g}, below {rule.significance:g})"
    if estimate is not None and estimate.low < rule.min_accuracy:
        return f"{drifted}, and by confidence its accuracy is {estimate}."
    if not is_known:
        return f"{drifted}, and only {window.labelled} of the newest predictions are labelled."
    return None


def _accuracy(facts: Facts) -> str:
    """Accuracy of the window, or of all labels where the window has none."""
    window, stream = facts.window, facts.stream
    if window.accuracy is not None:
        return f"accuracy {window.accuracy} of {window.labelled} labels"
    if stream.labels:
        share = 1 - stream.errors / stream.labels
        return f"accuracy {share:.3f} of {stream.labels} labels"
    return "accuracy is unknown, for there are 0 labels"


def _evidence_words(facts: Facts) -> str:
    evidence, limit = facts.stream.log_evidence, facts.stream.log_limit
    return f"log evidence {'none' if evidence is None else f'{evidence:.1f}'} of {limit:.1f}"


def _evidence(facts: Facts, rule: Rule, guards: list[Guard]) -> dict[str, Any]:
    """Put the facts of the decision into JSON values."""
    return {
        **asdict(facts.stream),
        "is_rollback": facts.is_rollback,
        "earlier": asdict(facts.earlier) if facts.earlier else None,
        "window": asdict(facts.window),
        "retraining": asdict(facts.retraining),
        "guards": {guard.name: guard.passed for guard in guards},
        "open_batch": facts.open_batch,
        "askable": facts.askable,
        "askable_images": facts.askable_images,
        "reports": facts.reports,
        "learned_forgotten": facts.learned_forgotten,
        "rule": asdict(rule),
    }
