"""Which kinds of drift are found between a release's reference and its newest predictions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest

from tests.monitoring.references import reference
from visionops_assets.catalog.performance import Observation
from visionops_assets.monitoring import comparing
from visionops_assets.monitoring.comparing import KINDS, compare
from visionops_assets.monitoring.reference_files import Reference
from visionops_assets.stages.monitoring.drift import choose
from visionops_assets.vision.monitoring.drift import TestResult
from visionops_assets.vision.monitoring.quality import QUALITY_MEASURES

SIGNIFICANCE = 0.01
COUNT = 120
Numbers = npt.NDArray[np.float64]


class Traffic:
    """Predictions like the reference's, of which a test changes what it wants to see found."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.embeddings = rng.normal(size=(COUNT, 8)).astype(np.float32)
        self.answered = rng.choice(["a", "b"], COUNT).tolist()
        self.confidence: Numbers = rng.uniform(0.5, 1.0, COUNT)
        self.quality: Numbers = rng.uniform(size=(COUNT, 4))

    def seen(self) -> list[Observation]:
        return [
            Observation(
                UUID(int=i),
                datetime(2026, 3, 1, tzinfo=UTC),
                self.answered[i],
                float(self.confidence[i]),
                tuple(self.quality[i].tolist()),
                None,
                None,
            )
            for i in range(COUNT)
        ]


@pytest.fixture
def known() -> Reference:
    made = Traffic(seed=1)
    return reference(
        labels=made.answered,
        answered=made.answered,
        probabilities=[[c, 1 - c] for c in made.confidence],
        embeddings=made.embeddings.tolist(),
        quality=made.quality.tolist(),
    )


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(seed=2)


def drifted(known: Reference, traffic: Traffic) -> list[str]:
    return compare(known, traffic.seen(), traffic.embeddings, SIGNIFICANCE).drifted


def test_nothing_drifts_where_nothing_changed(known: Reference, traffic: Traffic) -> None:
    compared = compare(known, traffic.seen(), traffic.embeddings, SIGNIFICANCE)
    assert compared.drifted == []
    assert [row["kind"] for row in compared.rows()] == list(KINDS)
    for row in compared.rows():
        assert row["p_adjusted"] >= row["p_value"]


def test_embeddings_alone_can_drift(known: Reference, traffic: Traffic) -> None:
    """As few permutations as usual could give no p-value that holds against seven tests."""
    traffic.embeddings = traffic.embeddings + np.float32(2)
    assert drifted(known, traffic) == ["embedding"]


def test_other_answers_are_a_drift_of_classes(known: Reference, traffic: Traffic) -> None:
    traffic.answered = ["a"] * (COUNT - 10) + ["b"] * 10
    assert drifted(known, traffic) == ["class_share"]


def test_less_confidence_is_a_drift(known: Reference, traffic: Traffic) -> None:
    traffic.confidence = traffic.confidence - 0.2
    assert drifted(known, traffic) == ["confidence"]


@pytest.mark.parametrize("measure", QUALITY_MEASURES)
def test_each_measure_of_quality_can_drift(
    known: Reference, traffic: Traffic, measure: str
) -> None:
    traffic.quality[:, QUALITY_MEASURES.index(measure)] += 0.5
    assert drifted(known, traffic) == [measure]


def test_quality_that_rounding_alone_changed_has_not_drifted(known: Reference) -> None:
    """The reference is in single precision, the log of predictions in double."""
    same = Traffic(seed=1)
    same.quality[:] = np.float64(1 / 3)
    known = reference(
        same.answered,
        same.answered,
        [[0.5, 0.5]] * COUNT,
        same.embeddings.tolist(),
        same.quality.tolist(),
    )
    assert not set(drifted(known, same)) & set(QUALITY_MEASURES)


def test_predictions_without_quality_are_compared_by_the_rest(
    known: Reference, traffic: Traffic
) -> None:
    traffic.quality = np.empty((COUNT, 0))
    compared = compare(known, traffic.seen(), traffic.embeddings, SIGNIFICANCE)
    assert list(compared.results) == ["embedding", "class_share", "confidence"]


@pytest.mark.parametrize("without", [1, COUNT - 1])
def test_quality_is_compared_only_where_every_prediction_has_it(
    known: Reference, traffic: Traffic, without: int
) -> None:
    """During an upgrade a window holds predictions of before quality was measured."""
    seen = traffic.seen()
    mixed = [replace(one, quality=()) for one in seen[:without]] + seen[without:]
    compared = compare(known, mixed, traffic.embeddings, SIGNIFICANCE)
    assert list(compared.results) == ["embedding", "class_share", "confidence"]


@pytest.mark.parametrize(
    ("significance", "permutations"), [(0.01, 1_400), (0.1, 140), (0.0001, 10_000)]
)
def test_permutations_suffice_for_the_least_p_value_to_be_significant(
    known: Reference,
    traffic: Traffic,
    monkeypatch: pytest.MonkeyPatch,
    significance: float,
    permutations: int,
) -> None:
    """Of 7 tests, after Holm's correction, with a reserve of a factor 2; 10,000 take seconds."""
    asked: list[int] = []

    def noted(*_: object, permutations: int) -> TestResult:
        asked.append(permutations)
        return TestResult(0.0, 1 / (1 + permutations))

    monkeypatch.setattr(comparing, "mmd_test", noted)
    compare(known, traffic.seen(), traffic.embeddings, significance)
    assert asked == [permutations]


@pytest.mark.parametrize(("count", "most"), [(5, 9), (9, 9), (200, 9)])
def test_a_choice_is_of_the_whole_window_and_the_same_again(count: int, most: int) -> None:
    def window() -> Sequence[Observation]:
        moment = datetime(2026, 3, 1, tzinfo=UTC)
        return [Observation(UUID(int=i), moment, "a", 1, (), None, None) for i in range(count)]

    chosen = choose(list(window()), most)
    assert len(chosen) == min(count, most)
    assert chosen == choose(list(window()), most)
    assert chosen == sorted(chosen, key=lambda one: one.prediction_id)
    if count > most:
        assert chosen[-1].prediction_id.int > count / 2
