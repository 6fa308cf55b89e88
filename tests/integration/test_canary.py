"""A canary from the command line, through a running gateway, to the verdict of the releaser."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from tests.declared import model_of, use
from tests.integration.released_models import IMAGE, Serving, steady_load
from tests.stacks import key_for, visionops
from tests.waiting import eventually
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.client.lineage import Lineage
from visionops_assets.contracts import Scope
from visionops_assets.releasing.audit import RULE
from visionops_assets.services.releaser.__main__ import duties_of
from visionops_assets.settings import Settings, load_settings
from visionops_client import GatewayClient

MIN_REQUESTS = 40


@pytest.fixture
def serving(
    quiet_stack: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Serving]:
    """The stack's own model with champion 1, and version 2 that passed the gate."""
    # Random weights agree by chance, and two cores are busy with more than one stack.
    rollouts = {"min_requests": MIN_REQUESTS, "min_agreement": 0, "max_latency_ratio": 100}
    use(monkeypatch, tmp_path / "models", serving={"rollouts": rollouts})
    serving = Serving(quiet_stack, model_of(quiet_stack).name)
    serving.release(1)
    serving.offer(2)
    yield serving
    load_settings.cache_clear()


def test_a_canary_is_tried_by_the_gateway_and_promoted_by_the_releaser(serving: Serving) -> None:
    settings: Settings = serving.settings
    numbers = count()
    # Of the stack that runs without Dagster: it acts all the same.
    lineage = Lineage(DagsterClient(settings.dagster_url))
    duties = {duty.name: duty for duty in duties_of(serving.controller, lineage)}
    with GatewayClient(settings.gateway_url, key_for(Scope.PREDICT), retry_for_s=0) as gateway:

        def ask() -> tuple[int, Sequence[float]]:
            answer = gateway.predict(IMAGE, sticky_key=f"client-{next(numbers)}")
            return answer.model_version, tuple(answer.probabilities.values())

        assert ask()[0] == 1
        with steady_load(ask) as load:
            started = visionops(
                "releases", "canary", "2", "--share", "50", "--reason", "To see it.", "--as", "me"
            )
            assert started.returncode == 0, started.stderr
            assert "Canary: version 2 with 50 % of the traffic" in started.stdout

            def promoted() -> bool | None:
                duties[f"rollout of {serving.model}"].turn()
                return serving.champion() == 2 or None

            eventually("promotion by the rule", promoted, 120)
            before = load.versions[1]
            eventually("requests to the new champion", lambda: load.versions[2] > 60, 60)
    assert load.errors == []
    assert before >= MIN_REQUESTS / 2
    assert serving.actions() == [
        "promoted 1",
        "canary_started 2",
        "rollout_promoted 2",
        "promoted 2",
    ]
    started_event, ended, _ = serving.audit()[1:]
    assert (started_event.actor, started_event.reason) == ("me", "To see it.")
    assert ended.actor == RULE
    assert ended.verdict is not None
    seen = ended.verdict
    assert seen["candidate"]["requests"] >= MIN_REQUESTS
    assert seen["champion"]["requests"] > 0
    assert seen["candidate"]["errors"] == seen["champion"]["errors"] == 0
