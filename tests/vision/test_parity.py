from types import SimpleNamespace

import numpy as np
import pytest

from visionops_assets.vision import parity as parity_module
from visionops_assets.vision.parity import Floats, median_latency_ms
from visionops_assets.vision.preprocessing import Frame


def test_latency_is_that_of_one_image() -> None:
    shapes = []

    def predict(images: Frame) -> Floats:
        shapes.append(images.shape)
        return np.zeros((len(images), 2), np.float32)

    assert median_latency_ms(predict, np.zeros((8, 8, 3), np.uint8)) >= 0
    assert set(shapes) == {(1, 8, 8, 3)}


def test_latency_is_the_median_in_milliseconds_once_it_is_warm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, runs = 0.0, 0

    def predict(images: Frame) -> Floats:
        nonlocal now_s, runs
        runs += 1
        now_s += 9.0 if runs <= 5 or runs % 3 == 0 else 0.02
        return np.zeros((len(images), 2), np.float32)

    monkeypatch.setattr(parity_module, "time", SimpleNamespace(perf_counter=lambda: now_s))
    assert median_latency_ms(predict, np.zeros((8, 8, 3), np.uint8)) == pytest.approx(20)
