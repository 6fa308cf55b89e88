"""How a gateway learns of rollouts, and what it reports. The catalog's queries are played."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.services.test_gateway_predictor import rollout
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.rollouts import ArmEvidence
from visionops_assets.contracts import Arm, Rollout
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.gateway import rollouts as module
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.rollouts import KEPT_WITHOUT_CATALOG_S, RolloutWatch


class Rollouts:
    """A catalog with one rollout at most; notes the reports."""

    def __init__(self) -> None:
        self.active: Rollout | None = None
        self.reports: list[tuple[int, str, Mapping[Arm, ArmEvidence]]] = []
        self.is_down = False
        self.now_s = 0.0

    @contextmanager
    def begin(self) -> Iterator[None]:
        if self.is_down:
            raise ServerUnreachableError("The catalog does not answer.")
        yield


@pytest.fixture
def rollouts(monkeypatch: pytest.MonkeyPatch) -> Rollouts:
    found = Rollouts()

    def put(_: Any, rollout_id: int, replica: str, seen: Mapping[Arm, ArmEvidence]) -> None:
        found.reports.append((rollout_id, replica, seen))

    monkeypatch.setattr(module, "active_rollout", lambda *_: found.active)
    monkeypatch.setattr(module, "put_evidence", put)
    return found


@pytest.fixture
def watch(rollouts: Rollouts) -> RolloutWatch:
    catalog = cast("Catalog", rollouts)
    return RolloutWatch(catalog, "classifier", GatewayMetrics(), lambda: rollouts.now_s)


def test_what_was_seen_is_reported_as_a_total_until_the_rollout_ends(
    rollouts: Rollouts, watch: RolloutWatch
) -> None:
    watch.exchange()
    assert watch.current is None
    rollouts.active = rollout()
    watch.exchange()
    watched = watch.current
    assert watched is not None
    for _ in range(2):
        watched.observe(Arm.CANDIDATE, 5)
        watched.compare(agreed=True)
        watched.fail(Arm.CHAMPION)
        watch.exchange()
    assert watch.current is watched
    rollouts.active = None
    watch.exchange()
    assert watch.current is None
    ids, replicas, seen = zip(*rollouts.reports, strict=True)
    assert (set(ids), len(set(replicas))) == ({1}, 1)
    assert [s[Arm.CANDIDATE].requests for s in seen] == [1, 2, 2]
    assert [s[Arm.CANDIDATE].agreed for s in seen] == [1, 2, 2]
    assert [s[Arm.CHAMPION].errors for s in seen] == [1, 2, 2]


def test_a_new_rollout_is_counted_from_the_start(rollouts: Rollouts, watch: RolloutWatch) -> None:
    rollouts.active = rollout()
    watch.exchange()
    first = watch.current
    assert first is not None
    first.observe(Arm.CANDIDATE, 5)
    rollouts.active = rollout(rollout_id=2)
    watch.exchange()
    first.observe(Arm.CANDIDATE, 5)  # The answer to a request of before.
    watch.exchange()
    assert [(i, s[Arm.CANDIDATE].requests) for i, _, s in rollouts.reports] == [(1, 1), (2, 0)]


def test_without_the_catalog_a_rollout_goes_on_only_for_some_seconds(
    rollouts: Rollouts, watch: RolloutWatch
) -> None:
    rollouts.active = rollout()
    watch.exchange()
    rollouts.is_down = True
    with pytest.raises(ServerUnreachableError):
        watch.exchange()
    rollouts.now_s = KEPT_WITHOUT_CATALOG_S
    assert watch.current is not None
    rollouts.now_s += 0.1
    assert watch.current is None
    rollouts.is_down = False
    watch.exchange()
    assert watch.current is not None


def test_two_gateways_never_report_as_one(rollouts: Rollouts) -> None:
    rollouts.active = rollout()
    catalog = cast("Catalog", rollouts)
    for _ in range(2):
        watch = RolloutWatch(catalog, "classifier", GatewayMetrics())
        watch.exchange()
        watch.exchange()
    assert len({replica for _, replica, _ in rollouts.reports}) == 2
