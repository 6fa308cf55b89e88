"""The gate's rule, and what monitoring is left to compare with."""

import numpy as np
import pandas as pd
import pytest

from visionops_assets.contracts import Candidate
from visionops_assets.stages.evaluation.assets import Answers, reference_of
from visionops_assets.stages.evaluation.gate import ChampionAnswers, GateRule, judge
from visionops_assets.stages.reference_files import MAX_FRAMES, choose_frames
from visionops_assets.stages.snapshot_files import SnapshotFiles
from visionops_assets.vision.monitoring.quality import measure_quality

CANDIDATE = Candidate(
    model_name="classifier", model_version=3, mlflow_run_id="r", snapshot_id="ds-1"
)
RULE = GateRule(min_accuracy=0.9, max_regression=0.02)


def correct(wrong: int, total: int = 1000) -> np.ndarray:
    return np.arange(total) >= wrong


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (60, True), (95, False), (300, False)])
def test_first_model_needs_the_interval_above_the_limit(wrong: int, passes: bool) -> None:
    """95 of 1,000 wrong is an accuracy above 0.9, but not certainly so."""
    verdict = judge(CANDIDATE, correct(wrong), None, RULE)
    assert verdict.passed == passes
    assert verdict.accuracy == pytest.approx(1 - wrong / 1000)
    assert verdict.accuracy_low < verdict.accuracy or wrong == 1000
    assert verdict.champion_version is None
    assert ("Refused" in verdict.reason) == (not passes)


@pytest.mark.parametrize(
    ("candidate_wrong", "champion_wrong", "passes"),
    [(10, 10, True), (5, 30, True), (40, 10, False), (20, 10, True)],
)
def test_candidate_must_not_be_worse_than_the_champion(
    candidate_wrong: int, champion_wrong: int, passes: bool
) -> None:
    champion = ChampionAnswers(2, correct(champion_wrong))
    verdict = judge(CANDIDATE, correct(candidate_wrong), champion, RULE)
    assert verdict.passed == passes
    assert verdict.champion_version == 2
    assert verdict.champion_accuracy == pytest.approx(1 - champion_wrong / 1000)


@pytest.mark.parametrize("count", [3, MAX_FRAMES + 50])
def test_the_reference_has_what_the_candidate_made_of_each_frame(count: int) -> None:
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images += (np.arange(count) % 256).astype(np.uint8)[:, None, None, None]
    labels = np.where(np.arange(count) % 2, "a", "b")
    answers = Answers(
        classes=("a", "b"),
        labels=np.full(count, "a"),
        correct=labels == "a",
        probabilities=np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(count, 2),
        embeddings=np.arange(3 * count, dtype=np.float32).reshape(count, 3),
    )
    holdout = SnapshotFiles(images, pd.DataFrame({"label": labels.astype(object)}))
    kept = reference_of(holdout, answers)
    chosen = choose_frames(count)
    assert kept.classes.tolist() == ["a", "b"]
    np.testing.assert_array_equal(kept.labels, labels[chosen])
    np.testing.assert_array_equal(kept.answered == kept.labels, answers.correct[chosen])
    np.testing.assert_array_equal(kept.probabilities, answers.probabilities[chosen])
    np.testing.assert_array_equal(kept.embeddings, answers.embeddings[chosen])
    last = np.array(measure_quality(images[chosen[-1]]), np.float32)
    np.testing.assert_array_equal(kept.quality[-1], last)
