"""Which tests may run beside which: those that share a stack stay together, and those of a file."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        uses_stack = "stack" in getattr(item, "fixturenames", ())
        group = "stack" if uses_stack else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
