"""A short run on real servers: each process killed and stopped, each crash point passed, once."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.harness import Plan, run
from tests.chaos.schedule import every_kill

UPLOADS = 100


@pytest.mark.integration
@pytest.mark.timeout(1_200)
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path) -> None:
    every = every_kill()
    plan = Plan(
        seed=1,
        uploads=UPLOADS,
        kills=len(every),
        calm_s=2,
        settled_s=1,
        stopped_s=6,
        batch_wait_s=4,
    )

    outcome = run(plan, tmp_path / "home", Console())

    assert list(outcome.violations) == []
    assert outcome.report.uploads >= UPLOADS
    assert outcome.report.kills_by_target == dict.fromkeys(sorted(k.target for k in every), 1)
