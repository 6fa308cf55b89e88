"""The accuracy that a served model must keep. Pure arithmetic on the gate's measurement."""

from visionops_assets.contracts import GateVerdict

ALLOWED_LOSS = 0.15
"""Share of a model's sure gain over the trivial answer that it may lose in service.

Live images are harder than those of the holdout, and a repair costs labels and training, so a small
loss raises no alarm. For ten even classes and a measured lower bound of 0.97 the limit is 0.84.
"""
UNMEASURED_LIMIT = 0.85
"""For a model without a verdict. This product never releases one."""
LEAST_LIMIT = 0.01
"""The detector needs a limit above 0."""


def limit_of(verdict: GateVerdict | None) -> float:
    """Return the accuracy below which a model must be replaced, 0..1 exclusive.

    low - 0.15 (low - trivial), where `low` is the lower bound of its accuracy on the holdout and
    `trivial` the accuracy of always naming the commonest class, 0 if an older verdict lacks it. The
    limit lies below the bound, since a model as accurate as the gate found it must not raise an
    alarm. It follows the gain over the trivial answer, since 0.85 is poor where the trivial answer
    reaches 0.84, and good where it reaches 0.1. A model without a sure gain may lose nothing.
    """
    if verdict is None:
        return UNMEASURED_LIMIT
    low, trivial = verdict.accuracy_low, verdict.trivial_accuracy or 0.0
    return max(LEAST_LIMIT, low - ALLOWED_LOSS * max(0.0, low - trivial))
