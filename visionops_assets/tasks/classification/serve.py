"""How classifiers answer: the most probable class, with the probability of each."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import CLASSES, TensorSpec
from visionops_assets.tasks.base import Answer, Outputs, Serving

PROBABILITIES_OF_NETWORK = TensorSpec("probabilities", "FP32", (CLASSES,))
LABEL = TensorSpec("LABEL", "BYTES")
PROBABILITIES = TensorSpec("PROBABILITIES", "FP32", (CLASSES,))


class _Serving:
    """See `Serving`."""

    network = (PROBABILITIES_OF_NETWORK,)
    answers = (LABEL, PROBABILITIES)

    def decode(self, outputs: Outputs, card: ModelCard) -> list[Answer]:
        """See `Serving`. Equal probabilities name the first class."""
        probabilities = outputs[PROBABILITIES_OF_NETWORK.name]
        winners = probabilities.argmax(axis=1).tolist()
        return [
            Answer((card.classes[winner],), tuple(row), row[winner])
            for winner, row in zip(winners, probabilities.tolist(), strict=True)
        ]

    def tensors(
        self, outputs: Outputs, card: ModelCard
    ) -> Mapping[str, Callable[[], npt.NDArray[Any]]]:
        """See `Serving`."""
        probabilities = outputs[PROBABILITIES_OF_NETWORK.name]

        def labels() -> npt.NDArray[Any]:
            winners = probabilities.argmax(axis=1)
            return np.array([[card.classes[winner].encode()] for winner in winners], np.object_)

        return {LABEL.name: labels, PROBABILITIES.name: lambda: probabilities}

    def read(self, row: Mapping[str, Any]) -> Answer:
        """See `Serving`."""
        probabilities = tuple(row[PROBABILITIES.name])
        return Answer((row[LABEL.name],), probabilities, max(probabilities))

    def is_wrong(self, answer: Answer, labels: tuple[str, ...]) -> bool:
        """See `Serving`."""
        return answer.labels != labels

    def agrees(self, answer: Answer, other: Answer) -> bool:
        """See `Serving`."""
        return answer.labels == other.labels


TASK: Serving = _Serving()
