"""The verdict on a candidate that may take the champion's place. Pure, on plain values.

Not here: the rules (`rules.py`).
"""

from math import ceil
from typing import Any

from visionops_assets.contracts import Candidate, GateState, GateVerdict
from visionops_assets.stages.evaluation.rules import (
    ChampionAnswers,
    Finding,
    GateRule,
    HoldoutAnswers,
    findings_of,
)
from visionops_assets.tasks.evaluation import ACCURACY


def judge(
    candidate: Candidate,
    answers: HoldoutAnswers,
    champion: ChampionAnswers | None,
    rule: GateRule,
) -> GateVerdict:
    """Judge a candidate by its answers to the holdout, and the champion's if there is one.

    One refusing rule is enough to refuse it; else one undecided rule leaves it undecided.
    """
    evaluation = answers.evaluation
    accuracy = evaluation.score(ACCURACY)
    share = accuracy.estimate(answers.groups)
    findings = list(findings_of(answers, champion, rule))
    found = {finding.state for finding in findings}
    by_weight = (GateState.REFUSED, GateState.UNDECIDED, GateState.PASSED)
    state = next(state for state in by_weight if state in found)
    deciding = [finding for finding in findings if finding.state is state]
    needed = [f.groups_needed for f in deciding if f.groups_needed is not None]
    groups_needed = max(needed) if needed and state is GateState.UNDECIDED else None
    return GateVerdict(
        model_name=candidate.model_name,
        model_version=candidate.model_version,
        champion_version=champion.model_version if champion else None,
        snapshot_id=candidate.snapshot_id,
        holdout_size=len(evaluation.correct),
        holdout_groups=share.groups,
        accuracy=share.value,
        accuracy_low=share.interval.low,
        accuracy_high=share.interval.high,
        trivial_accuracy=accuracy.trivial,
        champion_accuracy=champion.evaluation.score(ACCURACY).value if champion else None,
        passed=state is GateState.PASSED,
        state=state,
        **_scored(answers, champion, rule),
        groups_needed=groups_needed,
        reason=_reason(state, deciding, groups_needed, rule),
    )


def _scored(
    answers: HoldoutAnswers, champion: ChampionAnswers | None, rule: GateRule
) -> dict[str, Any]:
    """Return the fields of the score that judged, if it is another than the accuracy."""
    score = answers.evaluation.score(rule.score)
    if score.name == ACCURACY:
        return {}
    estimate = score.estimate(answers.groups)
    return {
        "score_name": score.name,
        "score": estimate.value,
        "score_low": estimate.interval.low,
        "score_high": estimate.interval.high,
        "trivial_score": score.trivial,
        "champion_score": champion.evaluation.score(score.name).value if champion else None,
    }


def _reason(
    state: GateState, deciding: list[Finding], groups_needed: int | None, rule: GateRule
) -> str:
    reason = f"{state.value.capitalize()}: {'; '.join(finding.text for finding in deciding)}."
    if state is not GateState.UNDECIDED:
        return reason
    if groups_needed is None:
        return f"{reason} No sensible number of labels would tell: it is too close to the limit."
    overall = ceil(groups_needed * 100 / rule.holdout_percent)
    return (
        f"{reason} The holdout is too small to tell: about {groups_needed} more labelled groups "
        f"in it would be enough. Since {rule.holdout_percent} % of the groups go into the "
        f"holdout, that is about {overall} more labelled groups in all."
    )
