"""Real pictures and one small trained model, made once."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.tasks.classification.sampling import Labels
from visionops_assets.tasks.running import lesson_of
from visionops_assets.vision.framing import preprocess_pixels
from visionops_assets.vision.preprocessing import Frame
from visionops_assets.vision.recipe import RoundResult, TrainingConfig
from visionops_assets.vision.training import TrainedModel, train

LESSON = lesson_of("classification")
CLASSES = ("zero", "one", "two")
SPEC = PreprocessingSpec(size_px=16)
# Slower than by default, so that it takes all of its steps.
CONFIG = TrainingConfig(steps=48, learning_rate=3e-3, seed=3)


@dataclass(frozen=True)
class Digits:
    images: Frame
    labels: Labels
    groups: list[str]


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Keep sums in one order, so that equal seeds give equal weights on every machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Return some 500 scanned digits of three classes; two images in a row are one group."""
    source = load_digits(n_class=len(CLASSES))
    gray = np.rint(source.images * 255 / 16).astype(np.uint8)
    images = np.stack([preprocess_pixels(np.dstack([g] * 3), SPEC) for g in gray])
    groups = [f"group-{i // 2}" for i in range(len(images))]
    return Digits(images, source.target.astype(np.int64), groups)


def train_on(
    digits: Digits, count: int, reported: list[RoundResult], config: TrainingConfig = CONFIG
) -> TrainedModel:
    return train(
        LESSON,
        digits.images[:count],
        digits.labels[:count],
        digits.groups[:count],
        classes=CLASSES,
        spec=SPEC,
        snapshot_id="ds-test",
        config=config,
        on_round=reported.append,
    )


@pytest.fixture(scope="session")
def trained(digits: Digits) -> TrainedModel:
    return train_on(digits, 400, [])
