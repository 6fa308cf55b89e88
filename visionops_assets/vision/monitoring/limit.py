"""How right a served model must stay. Pure arithmetic on what the gate measured of it."""

from visionops_assets.contracts import GateVerdict

ALLOWED_LOSS = 0.15
"""Share of what a model is sure to gain over the trivial answer that it may lose in service.

Live images are harder than those of the holdout, and a repair costs labels and training: so a small
loss is no alarm. For ten even classes and a measured lower bound of 0.97 the limit is 0.84.
"""
UNMEASURED_LIMIT = 0.85
"""For a model without a verdict, which none is that this product released."""
LEAST_LIMIT = 0.01
"""The detector needs a limit above 0."""


def limit_of(verdict: GateVerdict | None) -> float:
    """Return the accuracy below which a model is to be replaced, 0..1 exclusive.

    low - 0.15 (low - trivial), where `low` is the lower bound of its accuracy on the holdout and
    `trivial` the accuracy of always naming the commonest class, 0 where a verdict of an earlier
    version does not say. From below the bound, since a model as right as the gate found it is to
    raise no alarm; by the gain over the trivial answer, since 0.85 is poor where 0.84 takes no
    model, and good where 0.1 does. A model that is not sure to gain anything may lose nothing.
    """
    if verdict is None:
        return UNMEASURED_LIMIT
    low, trivial = verdict.accuracy_low, verdict.trivial_accuracy or 0.0
    return max(LEAST_LIMIT, low - ALLOWED_LOSS * max(0.0, low - trivial))
