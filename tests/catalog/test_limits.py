from typing import Any, cast

import pytest

from tests.catalog.standings import version
from visionops_assets.catalog import limits
from visionops_assets.settings import Settings
from visionops_assets.vision.monitoring.limit import limit_of

SESSION = cast("Any", None)


def test_a_limit_that_is_set_counts_and_else_that_of_the_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts = {("m", 3): version(3).verdict}
    monkeypatch.setattr(limits, "newest_verdict", lambda _, *key: verdicts.get(key))
    assert limits.accuracy_limit(SESSION, "m", 3, Settings()) == limit_of(verdicts["m", 3])
    assert limits.accuracy_limit(SESSION, "m", 4, Settings()) == limit_of(None)
    given = Settings(monitoring_min_accuracy=0.6)
    assert limits.accuracy_limit(SESSION, "m", 3, given) == 0.6
