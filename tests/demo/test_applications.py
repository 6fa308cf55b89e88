import time
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from visionops_assets.contracts import Role
from visionops_assets.demo import applications
from visionops_assets.demo.applications import KEPT_ONE_IN, STICKY_KEYS, Applications
from visionops_assets.demo.media import DemoFile
from visionops_assets.errors import ServerUnreachableError
from visionops_client.gateway import GatewayClient
from visionops_client.predictions import PredictedImage

FILE = DemoFile("7.png", "image/png", b"png", "7")


class Gateway:
    """Says that every image shows a 7, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[UUID, str]] = []
        self.is_down = False

    def predict(self, image: bytes, **options: Any) -> PredictedImage:
        if self.is_down:
            raise ServerUnreachableError("Nobody there.")
        self.asked.append(options)
        return PredictedImage(
            label="7",
            probability=1.0,
            probabilities={"7": 1.0},
            prediction_id=uuid4(),
            model_version=3,
            snapshot_id="ds-1",
            role=Role.CHAMPION,
        )

    def label(self, prediction_id: UUID, label: str, *, answers_draw: bool) -> None:
        assert answers_draw
        self.told.append((prediction_id, label))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications, "REQUESTS_HZ", 4_000.0)


def await_true(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_each_answer_is_followed_by_the_truth_and_one_image_in_four_is_kept() -> None:
    gateway = Gateway()
    with Applications(cast(GatewayClient, gateway), lambda: FILE).running() as running:
        await_true(lambda: len(running.seen) >= 2 * STICKY_KEYS)
    assert {label for _, label in gateway.told} == {"7"}
    assert len(gateway.told) == len(running.seen) == len(gateway.asked)
    assert all(seen.right and seen.model_version == 3 for seen in running.seen)
    kept = sum(asked["keep_image"] for asked in gateway.asked)
    assert abs(kept * KEPT_ONE_IN - len(gateway.asked)) <= KEPT_ONE_IN
    assert len({asked["sticky_key"] for asked in gateway.asked}) == STICKY_KEYS
    assert not running.failures


def test_what_fails_is_counted_and_the_applications_go_on() -> None:
    gateway = Gateway()
    gateway.is_down = True
    with Applications(cast(GatewayClient, gateway), lambda: FILE).running() as running:
        await_true(lambda: len(running.failures) >= 5)
        gateway.is_down = False
        await_true(lambda: len(running.seen) >= 5)
    assert set(running.failures) == {"Nobody there."}
