"""How multi-label models answer: every class whose probability reaches its threshold."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import CLASSES, TensorSpec
from visionops_assets.tasks.base import Answer, Outputs, Serving

PROBABILITIES_OF_NETWORK = TensorSpec("probabilities", "FP32", (CLASSES,))
LABELS = TensorSpec("LABELS", "BYTES")
"""A JSON list of names: images differ in the number of labels, and tensors have one shape."""
CONFIDENCE = TensorSpec("CONFIDENCE", "FP32")
PROBABILITIES = TensorSpec("PROBABILITIES", "FP32", (CLASSES,))
DEFAULT_THRESHOLD = 0.5

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def named(probabilities: Floats, card: ModelCard) -> Flags:
    """Say which classes are named, (N, C). What is not finite is not named."""
    thresholds = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.classes)
    return np.asarray(probabilities >= np.array(thresholds, np.float32))


def confidence(probabilities: Floats, names: Flags) -> Floats:
    """Return the probability that just these classes are shown (N), were they independent."""
    right = np.where(names, probabilities, 1 - probabilities)
    return np.asarray(right.prod(axis=1), np.float32)


class _Serving:
    """See `Serving`."""

    network = (PROBABILITIES_OF_NETWORK,)
    answers = (LABELS, CONFIDENCE, PROBABILITIES)

    def decode(self, outputs: Outputs, card: ModelCard) -> list[Answer]:
        """See `Serving`."""
        probabilities = outputs[PROBABILITIES_OF_NETWORK.name]
        names = named(probabilities, card)
        sureness = confidence(probabilities, names).tolist()
        return [
            Answer(labels, tuple(row), sure)
            for labels, row, sure in zip(
                _labels(names, card), probabilities.tolist(), sureness, strict=True
            )
        ]

    def tensors(
        self, outputs: Outputs, card: ModelCard
    ) -> Mapping[str, Callable[[], npt.NDArray[Any]]]:
        """See `Serving`."""
        probabilities = outputs[PROBABILITIES_OF_NETWORK.name]
        names = named(probabilities, card)

        def labels() -> npt.NDArray[Any]:
            rows = [[json.dumps(labels).encode()] for labels in _labels(names, card)]
            return np.array(rows, np.object_)

        return {
            LABELS.name: labels,
            CONFIDENCE.name: lambda: confidence(probabilities, names)[:, None],
            PROBABILITIES.name: lambda: probabilities,
        }

    def read(self, row: Mapping[str, Any]) -> Answer:
        """See `Serving`."""
        [sure] = row[CONFIDENCE.name]
        labels = tuple(json.loads(row[LABELS.name]))
        return Answer(labels, tuple(row[PROBABILITIES.name]), float(sure))

    def is_wrong(self, answer: Answer, labels: tuple[str, ...]) -> bool:
        """See `Serving`. One label too many or too few makes an answer wrong."""
        return set(answer.labels) != set(labels)

    def agrees(self, answer: Answer, other: Answer) -> bool:
        """See `Serving`. Both name the same classes."""
        return set(answer.labels) == set(other.labels)


def _labels(names: Flags, card: ModelCard) -> list[tuple[str, ...]]:
    return [tuple(card.classes[i] for i in np.flatnonzero(row)) for row in names]


TASK: Serving = _Serving()
