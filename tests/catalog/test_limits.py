from typing import Any, cast

import pytest

from tests.catalog.standings import version
from visionops_assets.catalog import limits
from visionops_assets.vision.monitoring.limit import limit_of

SESSION = cast("Any", None)


def test_a_limit_that_is_declared_counts_and_else_that_of_the_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts = {("m", 3): version(3).verdict}
    monkeypatch.setattr(limits, "newest_verdict", lambda _, *key: verdicts.get(key))
    assert limits.accuracy_limit(SESSION, "m", 3, None) == limit_of(verdicts["m", 3])
    assert limits.accuracy_limit(SESSION, "m", 4, None) == limit_of(None)
    assert limits.accuracy_limit(SESSION, "m", 3, 0.6) == 0.6
