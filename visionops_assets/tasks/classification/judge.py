"""How classifiers are judged."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.base import Judging, Outputs
from visionops_assets.tasks.classification.serve import PROBABILITIES_OF_NETWORK
from visionops_assets.vision.parity import Parity


class _Judging:
    """See `Judging`."""

    def targets(
        self, labels: Sequence[tuple[str, ...]], classes: Sequence[str]
    ) -> npt.NDArray[np.int64]:
        """See `Judging`. Targets are int64 (N), indices of classes."""
        index = {name: number for number, name in enumerate(classes)}
        return np.array([index[name] for [name] in labels], np.int64)

    def kinds(self, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """See `Judging`. A class is a kind."""
        return targets

    def parity(
        self,
        reference: Outputs,
        outputs: Outputs,
        targets: npt.NDArray[np.int64],
        card: ModelCard,  # noqa: ARG002 - needs none
    ) -> Parity:
        """See `Judging`. The score is the accuracy.

        An answer that is not finite agrees with nothing, is wrong, and has the largest error.
        """
        expected, found = (each[PROBABILITIES_OF_NETWORK.name] for each in (reference, outputs))
        if not len(targets):
            raise ValueError("A comparison needs at least one image.")
        if not (expected.shape == found.shape and len(expected) == len(targets)):
            raise ValueError(
                f"Probabilities {expected.shape} and {found.shape} of {len(targets)} images."
            )
        finite = np.isfinite(found).all(axis=1)
        ours, theirs = expected.argmax(axis=1), found.argmax(axis=1)
        errors = np.where(finite, np.abs(expected - found).max(axis=1), 1)
        return Parity(
            errors=errors.astype(np.float32),
            label_agreement=float(((ours == theirs) & finite).mean()),
            accuracy=float(((theirs == targets) & finite).mean()),
            reference_accuracy=float((ours == targets).mean()),
        )


TASK: Judging = _Judging()
