"""References of model versions, made up."""

from collections.abc import Sequence

import numpy as np

from visionops_assets.monitoring.reference_files import Reference


def reference(
    labels: Sequence[str],
    answered: Sequence[str],
    probabilities: Sequence[Sequence[float]],
    embeddings: Sequence[Sequence[float]] | None = None,
    quality: Sequence[Sequence[float]] | None = None,
) -> Reference:
    count = len(labels)
    classes = [chr(ord("a") + i) for i in range(len(probabilities[0]))]
    return Reference(
        classes=np.array(classes),
        labels=np.array(labels, dtype=np.str_),
        answered=np.array(answered, dtype=np.str_),
        probabilities=np.array(probabilities, dtype=np.float32),
        confidence=np.array(probabilities, dtype=np.float32).max(axis=1),
        embeddings=np.array(embeddings or [[0.0]] * count, dtype=np.float32),
        quality=np.array(quality or [[0.5] * 4] * count, dtype=np.float32),
    )
