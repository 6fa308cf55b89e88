"""The purposes for which labels are asked for."""

from enum import StrEnum


class Purpose(StrEnum):
    """Why a labelling batch asks; what its answers count for follows from it.

    `audit` and `holdout` count for accuracy, the alarm and the holdout, as far as their predictions
    were drawn by chance. `selection` (chosen for learning) and `conflicts` (labels that are
    doubted) train alone.
    """

    AUDIT = "audit"
    SELECTION = "selection"
    CONFLICTS = "conflicts"
    HOLDOUT = "holdout"


TRAINING_ALONE = frozenset({Purpose.SELECTION, Purpose.CONFLICTS})
