"""The rules of the gate: its limits, and what each finds in answers to the holdout. Pure.

A first model must certainly beat the trivial answer, a later one must certainly be no worse than
the champion. Certainly means by the 95 % interval, which counts groups (`vision.metrics`). If the
limit lies within the interval, the holdout is too small to tell, and the rule says how much is
missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import GateState
from visionops_assets.tasks.evaluation import ACCURACY, Evaluation, Score
from visionops_assets.vision.metrics import (
    CONFIDENCE,
    MIN_GROUPS,
    GroupedDifference,
    GroupedShare,
    Interval,
    normal_quantile,
)

Texts = npt.NDArray[np.str_]

SENSIBLE_TIMES = 10
"""The gate asks for no holdout that would have to be larger than this many times itself."""


@dataclass(frozen=True)
class GateRule:
    """The limits of the score that it names; of the task's first, if it names none.

    `min_margin` is the share of the trivial answer's errors that a first model must save;
    `max_regression` how much of the score a later one may lose to the champion on the same frames.
    `min_score` binds every model, None no model, and so does `min_accuracy`, whatever the score.
    `holdout_percent` of all groups are in the holdout.
    """

    score: str = ""
    min_margin: float = 0.1
    max_regression: float = 0.02
    min_score: float | None = None
    min_accuracy: float | None = None
    holdout_percent: int = 20


@dataclass(frozen=True)
class HoldoutAnswers:
    """The candidate's answers to the N holdout frames, evaluated, and the groups of the frames."""

    evaluation: Evaluation
    groups: Texts


@dataclass(frozen=True)
class ChampionAnswers:
    """The champion's version, and its answers to the same frames, evaluated."""

    model_version: int
    evaluation: Evaluation


@dataclass(frozen=True)
class Finding:
    """The finding of one rule, in words. `groups_needed` is None where no number would help."""

    state: GateState
    text: str
    groups_needed: int | None = None


def limit_of_first(trivial: float, min_margin: float) -> float:
    """Return the accuracy that a first model must certainly reach.

    The margin is a share of the trivial answer's errors (L. A. Goodman, W. H. Kruskal's lambda,
    JASA 49:732-764, 1954), so that it can be reached for any shares of the classes. At 0.1 the
    limit is 0.19 for ten even classes, and 0.91 where nine of ten frames are of one class.
    """
    return trivial + min_margin * (1 - trivial)


def state_by(interval: Interval, limit: float) -> GateState:
    """Compare an interval with a lower limit: all of it above, all of it below, or neither."""
    if interval.low >= limit:
        return GateState.PASSED
    return GateState.REFUSED if interval.high < limit else GateState.UNDECIDED


def groups_of_a_failed_class(classes: int) -> int:
    """Return the number of holdout groups at which a class without a right answer is not chance.

    If half of its groups were answered right, k wrong ones would have a chance of 2**-k. Over all
    classes that must be below 5 %.
    """
    return ceil(log2(classes / 0.05))


def findings_of(
    answers: HoldoutAnswers, champion: ChampionAnswers | None, rule: GateRule
) -> Iterator[Finding]:
    """Find what each rule says of a candidate, and of the champion if there is one."""
    score, groups = answers.evaluation.score(rule.score), answers.groups
    if champion is None:
        limit = limit_of_first(score.trivial, rule.min_margin)
        trivially = f"{score.trivially} would give {score.trivial:.4f}"
        asked = f"at least {limit:.4f} is needed, since {trivially}"
        yield _by_score(score, groups, limit, asked)
    else:
        yield _by_champion(score, groups, champion, rule)
    yield from _failed_classes(answers, champion)
    if rule.min_score is not None:
        asked = f"gate.min_score asks for at least {rule.min_score:g}"
        yield _by_score(score, groups, rule.min_score, asked)
    if rule.min_accuracy is not None:
        asked = f"gate.min_accuracy asks for at least {rule.min_accuracy:g}"
        accuracy = answers.evaluation.score(ACCURACY)
        yield _by_score(accuracy, groups, rule.min_accuracy, asked)


def _by_score(score: Score, groups: Texts, limit: float, asked: str) -> Finding:
    share = score.estimate(groups)
    found = f"{score.words} is {share.value:.4f} ({_words(share.interval)}, {share.groups} groups)"
    return Finding(
        state_by(share.interval, limit), f"{found}; {asked}", _groups_to_tell_share(share, limit)
    )


def _by_champion(score: Score, groups: Texts, champion: ChampionAnswers, rule: GateRule) -> Finding:
    difference = score.minus(champion.evaluation.score(score.name), groups)
    return Finding(
        state_by(difference.interval, -rule.max_regression),
        f"{score.words} differs from that of champion version {champion.model_version} by "
        f"{difference.value:+.4f} ({_words(difference.interval, '+')}, {difference.groups} "
        f"groups); at least {-rule.max_regression:+g} is needed",
        _groups_to_tell_difference(difference, -rule.max_regression),
    )


def _failed_classes(answers: HoldoutAnswers, champion: ChampionAnswers | None) -> Iterator[Finding]:
    """Find the classes without a right answer; for a later model, only those the champion knew."""
    evaluation = answers.evaluation
    shown = {name: its for name, its in sorted(evaluation.shown.items()) if its.any()}
    enough = groups_of_a_failed_class(len(shown))
    for name, of_class in shown.items():
        if evaluation.found[name].any():
            continue
        if champion is not None and not champion.evaluation.found[name].any():
            continue
        groups = len(np.unique(answers.groups[of_class]))
        text = f'no frame of class "{name}" was answered right ({groups} groups)'
        if groups >= enough:
            yield Finding(GateState.REFUSED, text)
        elif champion is None:
            text += f", and {enough} are needed to blame the model"
            yield Finding(GateState.UNDECIDED, text, enough - groups)


def _groups_to_tell_share(share: GroupedShare, limit: float) -> int | None:
    """Return how many more groups would separate a score that stays the same from a limit.

    Wilson's interval leaves a limit L out from n = z^2 L (1 - L) / (share - L)^2 items on. Of a
    score that is no share, the interval narrows with the root of the groups.
    """
    if share.effective_n is None:
        return _groups_to_tell_difference(
            GroupedDifference(share.value, share.interval, share.groups), limit
        )
    if share.value == limit:
        return None
    z = normal_quantile(CONFIDENCE)
    items = z**2 * limit * (1 - limit) / (share.value - limit) ** 2
    return _missing(share.groups, items / share.effective_n)


def _groups_to_tell_difference(difference: GroupedDifference, limit: float) -> int | None:
    """Return the same for a difference, whose interval narrows with the root of the groups."""
    value, interval = difference.value, difference.interval
    if difference.groups < MIN_GROUPS:
        return MIN_GROUPS - difference.groups
    if value == limit:
        return None
    half = value - interval.low if value > limit else interval.high - value
    return _missing(difference.groups, (half / (value - limit)) ** 2)


def _missing(groups: int, times: float) -> int | None:
    """Return how many groups make `times` as many, or None if nobody would label so much."""
    return max(1, ceil(groups * times) - groups) if times <= SENSIBLE_TIMES else None


def _words(interval: Interval, sign: str = "") -> str:
    return f"95 % interval {interval.low:{sign}.4f} to {interval.high:{sign}.4f}"
