"""How multi-label models are judged."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visionops_assets.contracts import ModelCard
from visionops_assets.tasks.base import Judging, Outputs
from visionops_assets.tasks.multilabel.scores import counts_of, macro_f1
from visionops_assets.tasks.multilabel.serve import PROBABILITIES_OF_NETWORK, named
from visionops_assets.vision.parity import Parity

Targets = npt.NDArray[np.float32]


class _Judging:
    """See `Judging`."""

    def targets(self, labels: Sequence[tuple[str, ...]], classes: Sequence[str]) -> Targets:
        """See `Judging`. Targets are float32 (N, classes): 1 for what an image shows, else 0."""
        index = {name: number for number, name in enumerate(classes)}
        targets = np.zeros((len(labels), len(classes)), np.float32)
        for row, names in zip(targets, labels, strict=True):
            row[[index[name] for name in names]] = 1
        return targets

    def kinds(self, targets: Targets) -> npt.NDArray[np.int64]:
        """See `Judging`. What is shown together is a kind."""
        _, kinds = np.unique(targets, axis=0, return_inverse=True)
        return np.asarray(kinds.reshape(-1), np.int64)

    def parity(
        self, reference: Outputs, outputs: Outputs, targets: Targets, card: ModelCard
    ) -> Parity:
        """See `Judging`. The score is macro F1.

        An answer that is not finite names nothing, agrees with nothing, and has the largest error.
        """
        expected, found = (each[PROBABILITIES_OF_NETWORK.name] for each in (reference, outputs))
        if not len(targets):
            raise ValueError("A comparison needs at least one image.")
        if not expected.shape == found.shape == targets.shape:
            raise ValueError(f"Probabilities {expected.shape}, {found.shape} of {targets.shape}.")
        finite = np.asarray(np.isfinite(found).all(axis=1))
        ours, theirs = named(expected, card), named(found, card) & finite[:, None]
        errors = np.where(finite, np.abs(expected - found).max(axis=1), 1)
        shown = targets > 0
        return Parity(
            errors=errors.astype(np.float32),
            label_agreement=float(((ours == theirs).all(axis=1) & finite).mean()),
            accuracy=float(macro_f1(counts_of(shown, theirs).sum(axis=0))),
            reference_accuracy=float(macro_f1(counts_of(shown, ours).sum(axis=0))),
        )


TASK: Judging = _Judging()
