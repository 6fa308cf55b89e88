"""The gate's rule, and what monitoring is left to compare with."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from visionops_assets.contracts import Candidate, GateState
from visionops_assets.monitoring.reference_files import MAX_FRAMES, choose_frames
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.stages.evaluation.answering import Answers
from visionops_assets.stages.evaluation.assets import reference_of
from visionops_assets.stages.evaluation.gate import judge
from visionops_assets.stages.evaluation.rules import (
    ChampionAnswers,
    GateRule,
    HoldoutAnswers,
    _groups_to_tell_difference,
    _missing,
    groups_of_a_failed_class,
    limit_of_first,
    state_by,
)
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.evaluation import Evaluation
from visionops_assets.tasks.registry import judging
from visionops_assets.vision.metrics import GroupedDifference, Interval, wilson_interval
from visionops_assets.vision.monitoring.quality import measure_quality

CANDIDATE = Candidate(
    model_name="classifier", model_version=3, mlflow_run_id="r", snapshot_id="ds-1"
)
RULE = GateRule(min_margin=0.1, max_regression=0.02, holdout_percent=20)


def evaluated(labels: np.ndarray, right: np.ndarray) -> Evaluation:
    """Evaluate answers that are right where it says so."""
    given = [Answer((str(label) if ok else "?",)) for label, ok in zip(labels, right, strict=True)]
    return judging("classification").evaluate(given, [(str(label),) for label in labels], ())


def answers_to(labels: np.ndarray, groups: np.ndarray, right: np.ndarray) -> HoldoutAnswers:
    return HoldoutAnswers(evaluated(labels, right), groups)


def labels_in(answers: HoldoutAnswers) -> np.ndarray:
    shown = answers.evaluation.shown
    labels: np.ndarray = np.array(list(shown))[np.argmax(list(shown.values()), axis=0)]
    return labels


def champion_on(answers: HoldoutAnswers, right: np.ndarray) -> ChampionAnswers:
    """Champion of version 2 on the same frames."""
    return ChampionAnswers(2, evaluated(labels_in(answers), right))


def correct(wrong: int, total: int = 1000) -> np.ndarray:
    return np.arange(total) >= wrong


def holdout(right: np.ndarray, classes: int = 10, frames_per_group: int = 1) -> HoldoutAnswers:
    """Answers to a holdout whose classes are even; items of one group are neighbours."""
    index = np.arange(len(right))
    labels = np.array([f"c{i % classes}" for i in index // frames_per_group])
    return answers_to(labels, (index // frames_per_group).astype(np.str_), right)


def unbalanced(right_common: int, right_rare: int) -> HoldoutAnswers:
    """Answers to 900 single frames of one class and 100 of another, so many of each right."""
    labels = np.repeat(["common", "rare"], [900, 100])
    right = np.concatenate([np.arange(900) < right_common, np.arange(100) < right_rare])
    return answers_to(labels, np.arange(1000).astype(np.str_), right)


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        (Interval(0.5, 0.7), GateState.PASSED),
        (Interval(0.4999, 0.5), GateState.UNDECIDED),
        (Interval(0.4, 0.6), GateState.UNDECIDED),
        (Interval(0.4, 0.4999), GateState.REFUSED),
    ],
)
def test_an_interval_passes_fails_or_holds_the_limit(interval: Interval, state: GateState) -> None:
    """The limit itself is enough, from either side."""
    assert state_by(interval, 0.5) is state


@pytest.mark.parametrize(
    ("wrong", "state"),
    [
        (0, GateState.PASSED),
        (780, GateState.PASSED),  # 0.22: the interval begins at 0.1954
        (790, GateState.UNDECIDED),  # 0.21, and 0.1859
        (820, GateState.UNDECIDED),  # 0.18, and up to 0.2050
        (840, GateState.REFUSED),  # 0.16, and up to 0.1840
    ],
)
def test_a_first_model_must_certainly_beat_the_trivial_answer(wrong: int, state: GateState) -> None:
    """With ten even classes the limit is 0.1 + 0.1 x 0.9 = 0.19."""
    verdict = judge(CANDIDATE, holdout(correct(wrong)), None, RULE)
    assert verdict.state is state
    assert verdict.passed == (state is GateState.PASSED)
    assert verdict.accuracy == pytest.approx(1 - wrong / 1000)
    assert verdict.accuracy_low < verdict.accuracy <= verdict.accuracy_high
    assert (verdict.trivial_accuracy, verdict.holdout_groups) == (0.1, 1000)
    assert verdict.champion_version is None
    assert verdict.reason.startswith(f"{state.value.capitalize()}: accuracy is ")
    assert "0.1900 is needed" in verdict.reason


@pytest.mark.parametrize(
    ("right_rare", "state"),
    [(60, GateState.PASSED), (20, GateState.UNDECIDED), (0, GateState.REFUSED)],
)
def test_the_margin_can_be_reached_where_one_class_is_nine_of_ten(
    right_rare: int, state: GateState
) -> None:
    """The trivial answer has 0.9, and 0.91 is needed."""
    verdict = judge(CANDIDATE, unbalanced(890, right_rare), None, RULE)
    assert limit_of_first(0.9, 0.1) == pytest.approx(0.91)
    assert verdict.state is state


def test_a_class_that_is_wholly_wrong_refuses_a_first_model() -> None:
    labels = np.array([f"c{i % 3}" for i in range(600)])
    verdict = judge(
        CANDIDATE, answers_to(labels, np.arange(600).astype(str), labels != "c2"), None, RULE
    )
    assert verdict.accuracy_low > limit_of_first(1 / 3, 0.1)
    assert verdict.state is GateState.REFUSED
    assert 'no frame of class "c2" was answered right (200 groups)' in verdict.reason
    labels[-1] = "c3"  # A class of one group.
    right = (labels != "c3") & correct(10, 600)
    verdict = judge(CANDIDATE, answers_to(labels, np.arange(600).astype(str), right), None, RULE)
    assert verdict.state is GateState.UNDECIDED
    assert verdict.groups_needed == groups_of_a_failed_class(4) - 1


def test_frames_of_one_group_do_not_make_a_class_wholly_wrong() -> None:
    answers = holdout(np.repeat(np.arange(30) % 3 > 0, 25), classes=3, frames_per_group=25)
    enough = groups_of_a_failed_class(3)
    assert (enough, groups_of_a_failed_class(10)) == (6, 8)
    for groups, state in ((enough, GateState.REFUSED), (enough - 1, GateState.UNDECIDED)):
        labels, right = labels_in(answers), answers.evaluation.correct
        kept = (labels != "c0") | (np.cumsum(labels == "c0") <= 25 * groups)
        few = answers_to(labels[kept], answers.groups[kept], right[kept])
        assert judge(CANDIDATE, few, None, RULE).state is state


@pytest.mark.parametrize(
    ("candidate_wrong", "champion_wrong", "state"),
    [
        (10, 10, GateState.PASSED),
        (5, 30, GateState.PASSED),
        (20, 10, GateState.PASSED),  # -0.010, and -0.017 at worst
        (25, 10, GateState.UNDECIDED),  # -0.015, and -0.023 at worst: no pass by the estimate
        (30, 10, GateState.UNDECIDED),  # -0.020, and -0.012 at best
        (35, 10, GateState.UNDECIDED),  # -0.025, and -0.016 at best: no refusal by the estimate
        (60, 10, GateState.REFUSED),  # -0.050, and -0.037 at best
    ],
)
def test_candidate_must_not_be_worse_than_the_champion(
    candidate_wrong: int, champion_wrong: int, state: GateState
) -> None:
    answers = holdout(correct(candidate_wrong))
    verdict = judge(CANDIDATE, answers, champion_on(answers, correct(champion_wrong)), RULE)
    assert verdict.state is state
    assert verdict.champion_version == 2
    assert verdict.champion_accuracy == pytest.approx(1 - champion_wrong / 1000)
    assert "champion version 2" in verdict.reason


def test_a_loss_of_just_what_is_allowed_is_allowed() -> None:
    """All 50 groups lose one of their 50 frames, and so do all resamples."""
    index = np.arange(2500)
    answers = holdout(index % 50 > 0, classes=1, frames_per_group=50)
    champion = champion_on(answers, np.ones(2500, np.bool_))
    assert judge(CANDIDATE, answers, champion, RULE).state is GateState.PASSED
    stricter = replace(RULE, max_regression=0.0199)
    assert judge(CANDIDATE, answers, champion, stricter).state is GateState.REFUSED


@pytest.mark.parametrize("groups", [1, 2, 5, 30])
@pytest.mark.parametrize("accuracy", [0, 0.5, 1])
def test_a_candidate_that_answers_like_the_champion_passes(groups: int, accuracy: float) -> None:
    """However small the holdout, and however poor both are."""
    right = np.arange(groups) < accuracy * groups
    answers = holdout(right, 3)
    verdict = judge(CANDIDATE, answers, champion_on(answers, right), RULE)
    assert verdict.passed, verdict.reason


def test_a_later_model_must_not_lose_a_class_that_the_champion_knows() -> None:
    labels = np.repeat(["common", "rare", "unknown"], [1960, 20, 20])
    groups = np.arange(2000).astype(np.str_)
    champion = ChampionAnswers(2, evaluated(labels, labels != "unknown"))
    lost = judge(CANDIDATE, answers_to(labels, groups, labels == "common"), champion, RULE)
    assert (lost.state, '"rare"' in lost.reason) == (GateState.REFUSED, True)
    assert '"unknown"' not in lost.reason
    kept = judge(CANDIDATE, answers_to(labels, groups, labels != "unknown"), champion, RULE)
    assert kept.passed


def test_a_later_model_may_lose_a_class_of_few_groups() -> None:
    """One in ten classes of one group is lost by chance: that is to hold up no other."""
    labels = np.repeat(["common", "rare"], [1999, 1])
    answers = answers_to(labels, np.arange(2000).astype(np.str_), labels == "common")
    champion = ChampionAnswers(2, evaluated(labels, np.ones(2000, np.bool_)))
    assert judge(CANDIDATE, answers, champion, RULE).passed


def test_an_absolute_floor_counts_where_somebody_sets_one() -> None:
    """95 of 1,000 wrong is an accuracy above 0.9, but not certainly so."""
    floor = replace(RULE, min_accuracy=0.9)
    states = [
        judge(CANDIDATE, answers, champion, floor).state
        for answers in (holdout(correct(wrong)) for wrong in (60, 95, 130))
        for champion in (None, ChampionAnswers(2, answers.evaluation))
    ]
    expected = (GateState.PASSED, GateState.UNDECIDED, GateState.REFUSED)
    assert states == [state for state in expected for _ in range(2)]


@pytest.mark.parametrize("wrong", [790, 820])
def test_an_undecided_verdict_says_how_many_groups_would_tell(wrong: int) -> None:
    """On either side of the limit, if accuracy stays as it is; one group fewer would not do."""
    verdict = judge(CANDIDATE, holdout(correct(wrong)), None, RULE)
    assert verdict.groups_needed is not None
    states = []
    for more in (verdict.groups_needed, verdict.groups_needed - 5):
        n = 1000 + more
        interval = wilson_interval(round((1 - wrong / 1000) * n), n)
        states.append(state_by(interval, 0.19))
    assert states[0] is not GateState.UNDECIDED
    overall = -(-verdict.groups_needed * 100 // 20)
    assert f"about {verdict.groups_needed} more labelled groups in it" in verdict.reason
    assert f"about {overall} more labelled groups in all" in verdict.reason


def test_groups_are_asked_for_and_not_frames() -> None:
    """Videos that are wholly right or wrong tell as much as images do, and as many are needed."""
    images = judge(CANDIDATE, holdout(correct(24, 60), 2), None, RULE)
    videos = judge(CANDIDATE, holdout(np.repeat(correct(24, 60), 25), 2, 25), None, RULE)
    assert images.state is videos.state is GateState.UNDECIDED
    assert images.groups_needed is not None
    assert videos.groups_needed == pytest.approx(images.groups_needed, rel=0.1, abs=2)


def test_twice_the_missing_groups_tell_two_models_apart() -> None:
    answers = holdout(correct(25))
    verdict = judge(CANDIDATE, answers, champion_on(answers, correct(10)), RULE)
    assert verdict.groups_needed is not None
    times = 1 + -(-verdict.groups_needed // 1000)
    answers = holdout(correct(25 * times, 1000 * times))
    champion = champion_on(answers, correct(10 * times, 1000 * times))
    more = judge(CANDIDATE, answers, champion, RULE)
    assert more.passed


def test_no_number_of_groups_tells_what_lies_on_the_limit() -> None:
    verdict = judge(CANDIDATE, holdout(correct(100)), None, replace(RULE, min_accuracy=0.9))
    assert verdict.state is GateState.UNDECIDED
    assert verdict.groups_needed is None
    assert verdict.reason.endswith("would tell: it is too close to the limit.")


@pytest.mark.parametrize(
    ("groups", "times", "missing"),
    [(10, 1.0, 1), (10, 1.01, 1), (10, 1.2, 2), (10, 10.0, 90), (10, 10.01, None)],
)
def test_missing_groups_are_counted_up_to_a_sensible_number(
    groups: int, times: float, missing: int | None
) -> None:
    assert _missing(groups, times) == missing


@pytest.mark.parametrize(("classes", "groups"), [(1, 5), (2, 6), (10, 8), (100, 11)])
def test_a_class_without_a_right_answer_is_blamed_from_a_number_of_groups_on(
    classes: int, groups: int
) -> None:
    """As many wrong answers in a row, each with a chance of a half, have one of 5 % / classes."""
    assert groups_of_a_failed_class(classes) == groups
    assert 2.0**-groups <= 0.05 / classes < 2.0 ** (1 - groups)


def test_nobody_is_asked_for_ten_times_the_labels() -> None:
    answers = holdout(correct(49, 1000))
    alike = judge(CANDIDATE, answers, champion_on(answers, correct(30, 1000)), RULE)
    assert (alike.state, alike.groups_needed) == (GateState.UNDECIDED, None)
    assert "59" not in alike.reason.rpartition("asked for")[2]


@pytest.mark.parametrize("count", [3, MAX_FRAMES + 50])
def test_the_reference_has_what_the_candidate_made_of_each_frame(count: int) -> None:
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images += (np.arange(count) % 256).astype(np.uint8)[:, None, None, None]
    labels = np.where(np.arange(count) % 2, "a", "b")
    probabilities = np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(count, 2)
    answers = Answers(
        task="classification",
        classes=("a", "b"),
        given=[Answer(("a",), tuple(row), row[0]) for row in probabilities.tolist()],
        truth=[(label,) for label in labels.tolist()],
        embeddings=np.arange(3 * count, dtype=np.float32).reshape(count, 3),
    )
    files = SnapshotFiles(images, pd.DataFrame({"label": labels.astype(object)}))
    kept = reference_of(files, answers)
    chosen = choose_frames(count)
    assert kept.classes.tolist() == ["a", "b"]
    np.testing.assert_array_equal(kept.labels, labels[chosen])
    np.testing.assert_array_equal(kept.answered == kept.labels, answers.evaluation.correct[chosen])
    np.testing.assert_array_equal(kept.probabilities, probabilities[chosen])
    np.testing.assert_array_equal(kept.confidence, probabilities[chosen, 0])
    np.testing.assert_array_equal(kept.embeddings, answers.embeddings[chosen])
    last = np.array(measure_quality(images[chosen[-1]]), np.float32)
    np.testing.assert_array_equal(kept.quality[-1], last)


@pytest.mark.parametrize(
    ("value", "low", "high", "groups", "missing"),
    [
        (0.0, -1.0, 0.25, 100, 300),  # half of the interval below is twice the distance
        (-1.0, -1.25, 0.0, 100, 300),  # and half of that above, on the other side
        (-0.5, -0.75, 0.0, 100, None),  # just what is allowed: no number tells
        (0.0, -1.0, 0.25, 5, 1),  # too few groups for an interval
        (0.0, -1.0, 0.25, 6, 18),
    ],
)
def test_groups_that_would_tell_two_models_apart(
    value: float, low: float, high: float, groups: int, missing: int | None
) -> None:
    """As (half of the interval / distance to the limit of -0.5) squared."""
    difference = GroupedDifference(value, Interval(low, high), groups)
    assert _groups_to_tell_difference(difference, -0.5) == missing


def test_one_class_that_is_known_does_not_end_the_search_for_others() -> None:
    """Classes come in order: the first is answered right, the second never."""
    right = np.array([label == "c0" for label in labels_in(holdout(correct(0), 2))])
    verdict = judge(CANDIDATE, holdout(right, 2), None, RULE)
    assert 'no frame of class "c1" was answered right (500 groups)' in verdict.reason
    assert "c0" not in verdict.reason


def test_a_class_of_few_groups_says_how_many_blame_the_model() -> None:
    right = np.ones(1_000, np.bool_)
    labels = np.array(["rare"] * 3 + ["common"] * 997)
    right[:3] = False
    groups = np.arange(1_000).astype(np.str_)
    verdict = judge(CANDIDATE, answers_to(labels, groups, right), None, RULE)
    assert verdict.state is not GateState.REFUSED
    assert '"rare" was answered right (3 groups), and 6 are needed to blame' in verdict.reason


def sets(seed: int, right: float, count: int = 300, times: int = 1) -> HoldoutAnswers:
    """Answers to frames that show any of three things, each named rightly by this share.

    They are repeated, as often as said, as groups of their own.
    """
    rng, names = np.random.default_rng(seed), np.array(["a", "b", "c"])
    truth = rng.random((count, 3)) < (0.5, 0.3, 0.1)
    named = np.where(np.random.default_rng(9).random(truth.shape) < right, truth, ~truth)
    truth, named = np.tile(truth, (times, 1)), np.tile(named, (times, 1))
    given = [Answer(tuple(names[row].tolist())) for row in named]
    labels = [tuple(names[row].tolist()) for row in truth]
    found = judging("multilabel").evaluate(given, labels, ("a", "b", "c"))
    return HoldoutAnswers(found, np.arange(count * times).astype(np.str_))


def test_sets_are_judged_by_the_score_that_the_rule_names() -> None:
    good, fair = sets(1, 0.97), sets(1, 0.9)
    verdict = judge(CANDIDATE, good, None, RULE)
    assert verdict.passed
    assert verdict.reason.startswith("Passed: macro F1 is ")
    assert "naming every class always would give" in verdict.reason
    assert verdict.accuracy == good.evaluation.correct.mean(), "monitoring counts whole sets"
    macro = good.evaluation.score("macro_f1")
    assert verdict.score == pytest.approx(macro.value)
    shown = (verdict.score_name, verdict.trivial_score, verdict.champion_score)
    assert shown == ("macro_f1", macro.trivial, None)
    micro = judge(CANDIDATE, good, None, replace(RULE, score="micro_f1"))
    assert micro.reason.startswith("Passed: micro F1 is ")
    champion = ChampionAnswers(2, good.evaluation)
    lost = judge(CANDIDATE, fair, champion, RULE)
    assert lost.state is GateState.REFUSED
    assert "macro F1 differs from that of champion version 2 by -" in lost.reason
    assert judge(CANDIDATE, good, ChampionAnswers(2, fair.evaluation), RULE).passed


def test_a_floor_of_the_named_score_binds() -> None:
    low = judge(CANDIDATE, sets(1, 0.9), None, replace(RULE, min_score=0.99))
    assert low.state is GateState.REFUSED
    assert "gate.min_score asks for at least 0.99" in low.reason


def test_a_thing_that_is_never_named_where_it_is_shown_refuses_sets() -> None:
    blind = sets(1, 1.0)
    found = {**blind.evaluation.found, "c": np.zeros(300, np.bool_)}
    verdict = judge(
        CANDIDATE, replace(blind, evaluation=replace(blind.evaluation, found=found)), None, RULE
    )
    assert verdict.state is GateState.REFUSED
    assert 'no frame of class "c" was answered right' in verdict.reason


def test_an_undecided_score_of_sets_says_how_many_groups_would_tell() -> None:
    few = judge(CANDIDATE, sets(1, 0.6, 60), None, RULE)
    assert few.state is GateState.UNDECIDED
    assert few.groups_needed is not None
    times = 1 + -(-few.groups_needed // 60)
    more = judge(CANDIDATE, sets(1, 0.6, 60, times), None, RULE)
    assert more.state is GateState.REFUSED
