"""A plugin of pytest: Hypothesis without deadlines, with few examples that are always the same.

What is slow on a busy machine is no failure, and the same change has the same verdict. The workers
of pytest-xdist load it, too.
"""

from hypothesis import HealthCheck, settings

EXAMPLES = 30
"""Per test: more would notice next to nothing more."""

settings.register_profile(
    "mutants",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mutants")
