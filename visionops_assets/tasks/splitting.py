"""The number of a class's groups that validate while the others train. Pure."""

VALIDATION_SHARE = 0.1
SMALL_VALIDATION_SHARE = 0.2
VALIDATION_GROUPS = 15
"""Groups of a class that measure it well enough; with fewer, a larger share validates."""
VALIDATION_MIN_GROUPS = 3
"""A class with fewer groups keeps all of them for training."""


def validation_groups(groups: int) -> int:
    """Return how many of a class's groups validate; none where it has fewer than three."""
    if groups < VALIDATION_MIN_GROUPS:
        return 0
    wanted = min(SMALL_VALIDATION_SHARE * groups, VALIDATION_GROUPS)
    return max(1, int(max(VALIDATION_SHARE * groups, wanted)))
