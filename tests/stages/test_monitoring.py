"""How a version is measured by its labelled predictions."""

import pytest

from visionops_assets.catalog.predictions import Agreement
from visionops_assets.stages.monitoring.assets import measure


def test_accuracy_counts_every_agreement_by_its_predictions() -> None:
    known = [
        Agreement("m", 2, answered="a", truth="a", predictions=60),
        Agreement("m", 2, answered="b", truth="b", predictions=30),
        Agreement("m", 2, answered="a", truth="b", predictions=10),
    ]
    window = measure(known, predictions=250)
    assert (window.model_name, window.model_version) == ("m", 2)
    assert (window.predictions, window.labelled, window.correct) == (250, 100, 90)
    assert window.accuracy == pytest.approx(0.9)
    assert window.accuracy_low < 0.9 < window.accuracy_high


@pytest.mark.parametrize("counted", [None, 3])
def test_there_are_never_fewer_predictions_than_labelled_ones(counted: int | None) -> None:
    known = [Agreement("m", 1, answered="a", truth="a", predictions=5)]
    assert measure(known, counted).predictions == 5
