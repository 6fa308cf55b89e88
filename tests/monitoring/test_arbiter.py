"""What the arbiter decides, and what it never does, whatever the facts."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.declared import declaration
from visionops_assets.catalog.decisions import may_decide_anew
from visionops_assets.catalog.labelling_items import Askable
from visionops_assets.catalog.schema import Decision, DriftWindow, PerformanceWindow
from visionops_assets.contracts import Outcome
from visionops_assets.monitoring.arbiter import (
    MIN_EARLIER_LABELS,
    Rule,
    decide,
    goes_back,
    retraining_guards,
)
from visionops_assets.monitoring.asking import choose
from visionops_assets.monitoring.facts import (
    Earlier,
    Estimate,
    Facts,
    Retraining,
    Stream,
    Window,
)
from visionops_assets.monitoring.gathering import stream_of, window_of
from visionops_assets.vision.monitoring.sequential import ErrorDetector

LIMIT = 8.5
RULE = Rule(
    min_accuracy=0.85,
    significance=0.01,
    min_new_labels=100,
    cooldown_s=1_800,
    max_cooldown_s=86_400,
    rollback_within_labels=500,
    reports=20,
)
QUIET = Stream(labels=200, errors=6, log_evidence=-0.3, log_limit=LIMIT, alarm_at=None)
ALARM = Stream(labels=180, errors=60, log_evidence=12.0, log_limit=LIMIT, alarm_at=47)
UNLABELLED = Stream(labels=0, errors=0, log_evidence=None, log_limit=LIMIT, alarm_at=None)
GOOD = Estimate(0.97, 0.95, 0.98)
UNSURE = Estimate(0.84, 0.80, 0.88)
POOR = Estimate(0.70, 0.65, 0.75)
READY = Retraining(new_frames=150)
QUIET_FACTS = Facts(model_version=3, stream=QUIET, window=Window(200, GOOD), askable=50)
ALARMED = Facts(model_version=3, stream=ALARM, window=Window(180, POOR), retraining=READY)


def before(labels: int = 300, alarm_at: int | None = None) -> Earlier:
    return Earlier(2, replace(QUIET, labels=labels, alarm_at=alarm_at))


def test_without_alarm_and_doubt_it_waits_and_says_how_it_stands() -> None:
    found = decide(QUIET_FACTS, RULE)
    assert found.outcome is Outcome.WAIT
    assert found.reason == (
        "Accuracy 0.970 (0.950..0.980) of 200 labels; log evidence -0.3 of 8.5."
    )
    assert found.look_again_in_s is None


def test_with_the_alarm_and_enough_frames_it_trains_anew() -> None:
    found = decide(ALARMED, RULE)
    assert found.outcome is Outcome.RETRAIN
    assert "Version 3 raised the alarm at label 47" in found.reason
    assert "accuracy 0.700 (0.650..0.750) of 180 labels, and 0.85 is the limit" in found.reason
    assert "150 newly labelled frames" in found.reason


def test_guards_that_let_a_retraining_go_on_say_so() -> None:
    guards = {guard.name: guard for guard in retraining_guards(READY, RULE)}
    assert all(guard.passed for guard in guards.values())
    assert guards["in_flight"].found == "no retraining is under way"
    assert guards["rollout"].found == "no rollout is under way"


@pytest.mark.parametrize(
    ("retraining", "words", "look_again_in_s"),
    [
        (replace(READY, new_frames=99), "99 newly labelled frames, and 100 are needed", None),
        (replace(READY, rollout="canary of version 4"), "canary of version 4 is being tried", None),
        (
            replace(READY, last_age_s=7_000, in_flight="a snapshot is awaited", gives_up_in_s=200),
            "a snapshot is awaited",
            200,
        ),
        (replace(READY, last_age_s=800), "in 1000 s: the cooldown is 1800 s", 1_000),
        (
            replace(READY, last_age_s=3_000, failures=1),
            "in 600 s: the cooldown is 3600 s after 1 that came to nothing",
            600,
        ),
        (replace(READY, last_age_s=80_000, failures=9), "the cooldown is 86400 s", 6_400),
        (replace(READY, last_age_s=0, failures=10**9), "the cooldown is 86400 s", 86_400),
    ],
)
def test_each_guard_holds_a_retraining_up_and_says_so(
    retraining: Retraining, words: str, look_again_in_s: float | None
) -> None:
    found = decide(replace(ALARMED, retraining=retraining), RULE)
    assert found.outcome is Outcome.WAIT
    assert "raised the alarm" in found.reason
    assert words in found.reason
    assert found.look_again_in_s == look_again_in_s


def test_a_cooldown_that_is_over_holds_nothing_up() -> None:
    for failures, age_s in ((0, 1_800), (1, 3_600), (3, 14_400)):
        retraining = replace(READY, last_age_s=age_s, failures=failures)
        assert decide(replace(ALARMED, retraining=retraining), RULE).outcome is Outcome.RETRAIN


def test_soon_after_a_release_it_goes_back_to_one_that_raised_no_alarm() -> None:
    found = decide(replace(ALARMED, earlier=before()), RULE)
    assert found.outcome is Outcome.ROLL_BACK
    assert "within 500 labels of its release" in found.reason
    assert "version 2 before it raised none in 300 labels with 6 errors" in found.reason


@pytest.mark.parametrize(
    "facts",
    [
        replace(ALARMED, earlier=None),
        replace(ALARMED, earlier=before(alarm_at=30)),
        replace(ALARMED, earlier=before(labels=MIN_EARLIER_LABELS - 1)),
        replace(ALARMED, earlier=before(), is_rollback=True),
        replace(ALARMED, earlier=before(), stream=replace(ALARM, labels=900, alarm_at=501)),
    ],
)
def test_else_it_trains_anew(facts: Facts) -> None:
    assert decide(facts, RULE).outcome is Outcome.RETRAIN


@pytest.mark.parametrize(
    ("images", "more", "outcome"),
    [
        (100, {}, Outcome.ASK_FOR_LABELS),
        (99, {}, Outcome.WAIT),
        (100, {"open_batch": "batch 1 has 2 of 3"}, Outcome.WAIT),
        (100, {"retraining": Retraining(in_flight="training")}, Outcome.WAIT),
    ],
)
def test_labels_are_asked_for_if_nothing_else_is_missing_to_train_anew(
    images: int, more: dict[str, Any], outcome: Outcome
) -> None:
    facts = replace(ALARMED, **{"retraining": Retraining(), "askable_images": images, **more})
    found = decide(facts, RULE)
    assert found.outcome is outcome
    assert "0 newly labelled frames, and 100 are needed" in found.reason


@pytest.mark.parametrize(
    ("alarm_at", "outcome"),
    [
        (1, Outcome.ROLL_BACK),
        (RULE.rollback_within_labels, Outcome.ROLL_BACK),
        (RULE.rollback_within_labels + 1, Outcome.RETRAIN),
    ],
)
def test_the_last_label_of_the_window_is_within_it(alarm_at: int, outcome: Outcome) -> None:
    stream = replace(ALARM, labels=900, alarm_at=alarm_at)
    facts = replace(ALARMED, earlier=before(labels=MIN_EARLIER_LABELS), stream=stream)
    assert decide(facts, RULE).outcome is outcome


def test_a_rollback_waits_for_no_guard() -> None:
    busy = Retraining(last_age_s=1, in_flight="training", rollout="shadow of version 4")
    found = decide(replace(ALARMED, earlier=before(), retraining=busy), RULE)
    assert found.outcome is Outcome.ROLL_BACK


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(estimated_accuracy=POOR), "By confidence its accuracy is 0.700 (0.650..0.750)"),
        (Window(labelled=300, accuracy=UNSURE, estimated_accuracy=POOR), "By confidence"),
        (Window(labelled=99, accuracy=GOOD, estimated_accuracy=POOR), "By confidence"),
        (Window(estimated_accuracy=UNSURE, embedding_p=0.005), "drifted (p = 0.005, below 0.01)"),
        (Window(labelled=12, accuracy=GOOD, embedding_p=0.005), "only 12 of the newest"),
    ],
)
def test_a_doubt_asks_for_labels(window: Window, words: str) -> None:
    facts = Facts(3, UNLABELLED, window=window, askable=50)
    found = decide(facts, RULE)
    assert found.outcome is Outcome.ASK_FOR_LABELS
    assert words in found.reason
    asked = decide(replace(facts, open_batch="batch 7 has 40 of 200"), RULE)
    assert asked.outcome is Outcome.WAIT
    assert "asked for already: batch 7 has 40 of 200" in asked.reason
    nothing_left = decide(replace(facts, askable=0), RULE)
    assert nothing_left.outcome is Outcome.WAIT
    assert "no prediction left" in nothing_left.reason


@pytest.mark.parametrize(
    "window",
    [
        Window(),
        Window(estimated_accuracy=UNSURE),
        Window(estimated_accuracy=UNSURE, embedding_p=0.01),
        Window(labelled=100, accuracy=UNSURE, embedding_p=0.001),
        Window(labelled=100, accuracy=UNSURE, estimated_accuracy=GOOD, embedding_p=0.001),
        # Labels that answered the doubt.
        Window(labelled=100, accuracy=GOOD, estimated_accuracy=POOR, embedding_p=0.001),
    ],
)
def test_without_a_doubt_nobody_is_asked(window: Window) -> None:
    assert decide(Facts(3, QUIET, window=window, askable=50), RULE).outcome is Outcome.WAIT


ESTIMATES = st.none() | st.tuples(*[st.floats(0, 1)] * 3).map(
    lambda values: Estimate(sorted(values)[1], min(values), max(values))
)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    labels = draw(st.integers(0, 2_000))
    alarm_at = draw(st.none() | st.integers(1, labels)) if labels else None
    evidence = draw(st.floats(-1, 500)) if labels else None
    return Stream(labels, draw(st.integers(0, labels)), evidence, LIMIT, alarm_at)


RETRAININGS = st.builds(
    Retraining,
    new_frames=st.integers(0, 300),
    last_age_s=st.none() | st.floats(0, 200_000),
    in_flight=st.none() | st.just("a retraining is under way"),
    gives_up_in_s=st.none() | st.floats(0, 7_200),
    failures=st.integers(0, 2_000),
    rollout=st.none() | st.just("canary of version 9"),
)
FACTS = st.builds(
    Facts,
    model_version=st.integers(1, 99),
    stream=streams(),
    is_rollback=st.booleans(),
    earlier=st.none() | st.builds(Earlier, st.integers(1, 99), streams()),
    window=st.builds(
        Window, st.integers(0, 300), ESTIMATES, ESTIMATES, st.none() | st.floats(0, 1)
    ),
    retraining=RETRAININGS,
    open_batch=st.none() | st.just("batch 1 has 2 of 3"),
    askable=st.integers(1, 3),
    askable_images=st.integers(0, 300),
)


@given(FACTS)
def test_what_it_never_does(facts: Facts) -> None:
    found = decide(facts, RULE)
    retraining, stream = facts.retraining, facts.stream
    if found.outcome is Outcome.RETRAIN:
        assert stream.alarm_at is not None
        assert stream.labels > 0
        assert retraining.in_flight is None
        assert retraining.rollout is None
        assert retraining.new_frames >= RULE.min_new_labels
        assert all(guard.passed for guard in retraining_guards(retraining, RULE))
        assert retraining.last_age_s is None or retraining.last_age_s >= RULE.cooldown_s
    if found.outcome is Outcome.ROLL_BACK:
        assert stream.alarm_at is not None
        assert stream.alarm_at <= RULE.rollback_within_labels
        assert facts.earlier is not None
        assert facts.earlier.stream.alarm_at is None
        assert facts.earlier.stream.labels >= MIN_EARLIER_LABELS
        assert not facts.is_rollback
    if found.outcome is Outcome.ASK_FOR_LABELS:
        assert stream.alarm_at is None or retraining.new_frames < RULE.min_new_labels
        assert facts.open_batch is None
        assert facts.askable > 0


@given(FACTS)
def test_every_reason_names_its_numbers_and_all_evidence_is_json(facts: Facts) -> None:
    found = decide(facts, RULE)
    alarm_at = facts.stream.alarm_at
    assert (f"label {alarm_at}" if alarm_at else f"of {LIMIT}") in found.reason
    if facts.window.accuracy is not None:
        assert f"of {facts.window.labelled} labels" in found.reason
    assert json.loads(json.dumps(found.evidence, allow_nan=False)) == found.evidence
    keys = {"log_evidence", "log_limit", "labels", "errors", "alarm_at", "guards"}
    assert keys <= found.evidence.keys()


@given(FACTS, st.integers(1, 2_000))
def test_a_release_is_blamed_just_when_the_window_and_the_version_before_say_so(
    facts: Facts, alarm_at: int
) -> None:
    """Said once more, without the rule's own words."""
    facts = replace(facts, stream=replace(facts.stream, labels=2_000, alarm_at=alarm_at))
    was_better = (
        facts.earlier is not None
        and facts.earlier.stream.alarm_at is None
        and facts.earlier.stream.labels >= 20
    )
    expected = alarm_at in range(1, 501) and was_better and not facts.is_rollback
    assert goes_back(facts, RULE) is expected


def test_the_rule_is_as_declared() -> None:
    model = declaration(
        monitoring={"drift_significance": 0.02},
        retraining={
            "min_new_labels": 3,
            "cooldown_s": 4,
            "max_cooldown_s": 5,
            "rollback_within_labels": 6,
        },
        labelling={"reports": 7},
    )
    assert Rule.of(model, 0.7) == Rule(
        min_accuracy=0.7,
        significance=0.02,
        min_new_labels=3,
        cooldown_s=4,
        max_cooldown_s=5,
        rollback_within_labels=6,
        reports=7,
    )


def test_a_stream_is_summed_up_by_its_detector() -> None:
    detector = ErrorDetector(0.85, 5_000)
    errors = np.array([False] * 20 + [True] * 30)
    stream = stream_of(errors, detector.run(errors))
    assert (stream.labels, stream.errors) == (50, 30)
    assert stream.alarm_at is not None
    assert 20 < stream.alarm_at < 50
    assert stream.log_evidence is not None
    assert stream.log_evidence > stream.log_limit == pytest.approx(np.log(5_000))
    none = np.zeros(0, dtype=np.bool_)
    assert stream_of(none, detector.run(none)).log_evidence is None


def test_a_window_is_what_was_measured() -> None:
    drift = DriftWindow(
        results=[
            {"kind": "confidence", "p_adjusted": 0.5},
            {"kind": "embedding", "p_adjusted": 0.002},
        ]
    )
    performance = PerformanceWindow(
        labelled=40,
        accuracy=0.9,
        accuracy_low=0.8,
        accuracy_high=0.95,
        estimated_accuracy=None,
        estimated_low=None,
        estimated_high=None,
    )
    assert window_of(performance, drift) == Window(40, Estimate(0.9, 0.8, 0.95), None, 0.002)
    assert window_of(None, None) == Window()
    assert window_of(None, DriftWindow(results=[])) == Window()


CANDIDATES = st.lists(st.booleans(), max_size=60).map(
    lambda kept: [Askable(UUID(int=i), has_image) for i, has_image in enumerate(kept)]
)


@given(CANDIDATES, st.integers(1, 70), st.integers(0, 9))
def test_a_batch_asks_about_images_that_were_kept_first_and_nothing_twice(
    candidates: list[Askable], size: int, seed: int
) -> None:
    chosen = choose(candidates, size, seed)
    assert len(chosen) == len(set(chosen)) == min(size, len(candidates))
    with_image = {found.prediction_id for found in candidates if found.has_image}
    if len(with_image) >= size:
        assert set(chosen) <= with_image
    else:
        assert with_image <= set(chosen)


def test_a_batch_is_drawn_by_chance_from_all_candidates() -> None:
    candidates = [Askable(UUID(int=i), True) for i in range(1_000)]
    chosen = choose(candidates, 100, seed=1)
    assert abs(sum(key.int for key in chosen) / 100 - 500) < 90
    assert choose(candidates, 100, seed=2) != chosen
    assert choose(candidates, 100, seed=1) == chosen


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "new_frames", "after_s", "is_due"),
    [
        (replace(ALARMED, retraining=Retraining(new_frames=60)), 99, 9e9, False),
        (replace(ALARMED, retraining=Retraining(new_frames=60)), 100, 0, True),
        (replace(ALARMED, retraining=replace(READY, last_age_s=800)), 160, 999, False),
        (replace(ALARMED, retraining=replace(READY, last_age_s=800)), 160, 1_000, True),
        (replace(ALARMED, retraining=replace(READY, rollout="canary of 4")), 150, 9e9, False),
        (replace(ALARMED, retraining=Retraining(), askable_images=100), 100, 0, True),
        (ALARMED, 500, 9e9, False),
        # It had enough, and waits for something else.
        (
            replace(ALARMED, retraining=Retraining(new_frames=100, rollout="canary")),
            150,
            9e9,
            False,
        ),
        (QUIET_FACTS, 500, 9e9, False),
    ],
)
def test_what_a_retraining_waited_for_is_news(
    facts: Facts, new_frames: int, after_s: float, is_due: bool
) -> None:
    found = decide(facts, RULE)
    look_again_at = None
    if found.look_again_in_s is not None:
        look_again_at = (NOW + timedelta(seconds=found.look_again_in_s)).isoformat()
    row = Decision(
        outcome=found.outcome.value, evidence=found.evidence | {"look_again_at": look_again_at}
    )
    at = NOW + timedelta(seconds=min(after_s, 1e6))
    assert may_decide_anew(row, new_frames, at) == is_due


def test_a_release_goes_back_up_to_the_last_label_and_from_the_first_number_on() -> None:
    """An alarm at label 500 is within 500, and 20 labels of the version before are enough."""
    last = replace(ALARMED, earlier=before(20), stream=replace(ALARM, labels=900, alarm_at=500))
    assert decide(last, RULE).outcome is Outcome.ROLL_BACK
    for facts in (
        replace(last, stream=replace(last.stream, alarm_at=501)),
        replace(last, earlier=before(19)),
        replace(last, stream=replace(last.stream, alarm_at=None)),
    ):
        assert not goes_back(facts, RULE)


@pytest.mark.parametrize(
    ("high", "outcome"), [(0.85, Outcome.WAIT), (0.849, Outcome.ASK_FOR_LABELS)]
)
def test_an_estimate_that_reaches_the_limit_is_no_doubt(high: float, outcome: Outcome) -> None:
    window = Window(0, None, estimated_accuracy=Estimate(0.8, 0.75, high))
    facts = Facts(model_version=3, stream=UNLABELLED, window=window, askable=50)
    assert decide(facts, RULE).outcome is outcome


def test_without_a_window_accuracy_is_that_of_all_labels() -> None:
    facts = replace(QUIET_FACTS, window=Window(0, None))
    assert decide(facts, RULE).reason.startswith("Accuracy 0.970 of 200 labels;")
    unknown = replace(facts, stream=UNLABELLED)
    assert "ccuracy is unknown, for there are 0 labels" in decide(unknown, RULE).reason


def test_a_cooldown_without_failures_names_none() -> None:
    held = decide(replace(ALARMED, retraining=replace(READY, last_age_s=800)), RULE)
    assert held.reason.endswith("the cooldown is 1800 s.")


@pytest.mark.parametrize(
    ("labelled", "outcome"), [(99, Outcome.ASK_FOR_LABELS), (100, Outcome.WAIT)]
)
def test_a_hundred_labels_of_the_newest_predictions_settle_a_doubt(
    labelled: int, outcome: Outcome
) -> None:
    window = Window(labelled, GOOD, estimated_accuracy=POOR)
    facts = replace(QUIET_FACTS, window=window)
    assert decide(facts, RULE).outcome is outcome


def test_a_version_that_learned_from_what_was_erased_is_trained_anew_without_new_labels() -> None:
    facts = replace(QUIET_FACTS, learned_forgotten=True)
    decision = decide(facts, RULE)
    assert decision.outcome is Outcome.RETRAIN
    assert "erased since" in decision.reason
    assert decision.evidence["learned_forgotten"] is True
    assert decide(QUIET_FACTS, RULE).outcome is Outcome.WAIT
    busy = replace(facts, retraining=replace(facts.retraining, in_flight="run 7 trains"))
    assert decide(busy, RULE).outcome is Outcome.WAIT
