"""A catalog for tests of commands: its transactions hold nothing, a test says what they find."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from visionops_assets.catalog import connection


class NoCatalog:
    """Opens transactions of nothing."""

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands open this catalog."""
    monkeypatch.setattr(connection, "Catalog", NoCatalog)
