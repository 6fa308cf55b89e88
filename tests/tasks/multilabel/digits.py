"""Scanned digits with labels made from them, and a multi-label model that learns from them."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.tasks.registry import judging
from visionops_assets.tasks.running import lesson_of
from visionops_assets.vision.framing import preprocess_pixels
from visionops_assets.vision.preprocessing import Frame
from visionops_assets.vision.recipe import TrainingConfig
from visionops_assets.vision.training import TrainedModel, train

CLASSES = ("above four", "even", "has a loop")
LOOPS = {0, 6, 8, 9}
SPEC = PreprocessingSpec(size_px=16)
TASK = "multilabel"


@dataclass(frozen=True)
class Pictures:
    images: Frame
    labels: list[tuple[str, ...]]

    @property
    def groups(self) -> list[str]:
        return [str(number) for number in range(len(self.images))]

    def part(self, start: int, stop: int | None) -> "Pictures":
        return Pictures(self.images[start:stop], self.labels[start:stop])


def labels_of(digit: int) -> tuple[str, ...]:
    shows = {"above four": digit > 4, "even": digit % 2 == 0, "has a loop": digit in LOOPS}
    return tuple(name for name, is_shown in shows.items() if is_shown)


def read_digits() -> Pictures:
    source = load_digits()
    gray = np.rint(source.images * 255 / 16).astype(np.uint8)
    images = np.stack([preprocess_pixels(np.dstack([g] * 3), SPEC) for g in gray])
    return Pictures(images, [labels_of(int(digit)) for digit in source.target])


def train_on(pictures: Pictures, steps: int, snapshot_id: str = "ds-test") -> TrainedModel:
    return train(
        lesson_of(TASK),
        pictures.images,
        judging(TASK).targets(pictures.labels, CLASSES),
        pictures.groups,
        classes=CLASSES,
        spec=SPEC,
        snapshot_id=snapshot_id,
        config=TrainingConfig(steps=steps, seed=1, threads=1),
        on_round=lambda _: None,
    )
