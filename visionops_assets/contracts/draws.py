"""The draw of predictions whose labels are asked for, right or wrong: the audit share."""

import hashlib
from uuid import UUID

_ALL = 2**64


def is_drawn(prediction_id: UUID, percent: float) -> bool:
    """Say whether a prediction is in the audit share, a percentage of all.

    It follows from the id alone, so the answer, its image and its label have no influence, and
    whoever knows the share says the same at once. One in a smaller share is in each larger one.
    """
    digest = hashlib.sha256(b"audit:" + prediction_id.bytes).digest()
    return int.from_bytes(digest[:8], "big") * 100 < percent * _ALL
