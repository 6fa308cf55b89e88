"""A plugin of pytest: Hypothesis tries few examples, which are always the same.

So the same change has the same verdict. The workers of pytest-xdist load it, too.
"""

import pytest
from hypothesis import settings

EXAMPLES = 30
"""Per test: more would notice next to nothing more."""


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Load the profile, on top of that of all tests, which `conftest.py` loads."""
    settings.register_profile("mutants", max_examples=EXAMPLES, derandomize=True)
    settings.load_profile("mutants")
