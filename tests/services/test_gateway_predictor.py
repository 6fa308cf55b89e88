"""Which version answers, what the other one is asked, and what is counted of both."""

import asyncio
import struct
import time
from datetime import UTC, datetime
from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.gateway_fakes import CANDIDATE, CHAMPION, PNG, FakeTriton, inference
from tests.vision.corpus import picture, saved
from visionops_assets.contracts import Arm, Role, Rollout
from visionops_assets.errors import (
    CorruptMediaError,
    DeadlineExceededError,
    NoModelServedError,
    OverloadedError,
    ServerUnreachableError,
    TooManyPixelsError,
    UnsupportedEncodingError,
    VisionOpsError,
)
from visionops_assets.services.gateway import predictor as module
from visionops_assets.services.gateway.answers import PredictionAnswer
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.limits import Limits
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.predictor import Ask, Predictor
from visionops_assets.services.gateway.rollouts import RolloutWatch, Watched, is_picked
from visionops_assets.services.gateway.unserved import Unserved
from visionops_assets.settings import Settings

COSTLY = PNG + b"costly"
Trying = Literal[Role.CANARY, Role.SHADOW]


def rollout(role: Trying = Role.CANARY, share_percent: float = 100, rollout_id: int = 1) -> Rollout:
    return Rollout(
        rollout_id=rollout_id,
        model_name=CHAMPION,
        model_version=4,
        champion_version=3,
        role=role,
        share_percent=share_percent,
        started_at=datetime.now(UTC),
    )


class Watch:
    """A rollout that is known, or none."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics
        self.current: Watched | None = None

    def begin(self, role: Trying, share_percent: float = 100) -> Watched:
        self.current = Watched(rollout(role, share_percent), self._metrics)
        return self.current


class Bench:
    """A predictor, and what it speaks to."""

    def __init__(self) -> None:
        self.metrics = GatewayMetrics()
        self.triton = FakeTriton()
        self.watch = Watch(self.metrics)
        self.predictor = Predictor(
            cast("TritonChannel", self.triton),
            cast("RolloutWatch", self.watch),
            cast("Unserved", None),
            self.metrics,
            Limits.of(Settings(gateway_max_costly=1), self.metrics),
            CHAMPION,
            "classification",
            100.0,
        )

    def predict(
        self,
        allowed_s: float = 10.0,
        times: int = 1,
        *,
        keep_image: bool = False,
        source: str = "",
    ) -> PredictionAnswer:
        """Predict so often, and wait for what goes on in the background."""

        async def run() -> PredictionAnswer:
            for _ in range(times):
                due_at_s = time.monotonic() + allowed_s
                ask = Ask("client", due_at_s, keep_image=keep_image, source=source)
                answer = await self.predictor.predict(PNG, ask)
            await asyncio.gather(*self.predictor._background)
            return answer

        return asyncio.run(run())


@pytest.fixture
def bench() -> Bench:
    return Bench()


@given(st.integers(1, 10_000), st.floats(5, 95))
def test_a_canary_gets_its_share_of_the_keys(rollout_id: int, share_percent: float) -> None:
    tried = rollout(share_percent=share_percent, rollout_id=rollout_id)
    picked = sum(is_picked(tried, f"key-{i}") for i in range(2_000))
    # Five standard deviations of a fair draw of 2,000.
    assert picked / 20 == pytest.approx(share_percent, abs=5.6)


@given(st.text(max_size=40), st.floats(1, 99), st.floats(0, 1))
def test_a_key_that_is_picked_stays_picked_when_the_share_grows(
    key: str, share_percent: float, growth: float
) -> None:
    grown = share_percent + (100 - share_percent) * growth
    first = is_picked(rollout(share_percent=share_percent), key)
    assert first == is_picked(rollout(share_percent=share_percent), key)
    assert is_picked(rollout(share_percent=grown), key) >= first
    assert is_picked(rollout(share_percent=100), key)


def test_an_embedding_is_asked_for_only_by_who_wants_it(bench: Bench) -> None:
    bench.predict()
    assert bench.triton.embeddings == []
    ask = Ask("client", time.monotonic() + 10, with_embedding=True)
    asyncio.run(bench.predictor.infer(PNG, ask))
    assert bench.triton.embeddings == [PNG]


@pytest.mark.parametrize("role", [None, Role.CANARY, Role.SHADOW])
def test_an_image_is_kept_once_whoever_else_is_asked(bench: Bench, role: Trying | None) -> None:
    if role is not None:
        bench.watch.begin(role)
    bench.predict(keep_image=True)
    assert bench.triton.kept == [PNG]
    assert len(bench.triton.asked) == (1 if role is None else 2)


@pytest.mark.parametrize("role", [Role.CANARY, Role.SHADOW])
def test_both_arms_see_an_image_with_the_filters_of_its_source(bench: Bench, role: Trying) -> None:
    """Else a candidate would be judged by other frames than the champion's."""
    bench.watch.begin(role)
    bench.predict(source="gate-7")
    assert bench.triton.sources == ["gate-7"] * 2


def test_rollouts_do_not_pick_the_same_keys() -> None:
    first, second = (
        {i for i in range(500) if is_picked(rollout(share_percent=10, rollout_id=r), f"key-{i}")}
        for r in (1, 2)
    )
    assert first != second


def test_without_a_rollout_only_the_champion_is_asked(bench: Bench) -> None:
    answer = bench.predict()
    assert (answer.label, answer.role) == ("7", Role.CHAMPION)
    assert bench.triton.asked == [(CHAMPION, PNG, True)]


def test_a_canary_answers_and_the_champion_is_asked_unrecorded(bench: Bench) -> None:
    watched = bench.watch.begin(Role.CANARY)
    answer = bench.predict()
    assert (answer.label, answer.model_version, answer.role) == ("9", 4, Role.CANARY)
    assert bench.triton.asked == [(CANDIDATE, PNG, True), (CHAMPION, PNG, False)]
    candidate, champion = watched.seen[Arm.CANDIDATE], watched.seen[Arm.CHAMPION]
    assert (candidate.requests, candidate.errors) == (1, 0)
    assert (candidate.compared, candidate.agreed) == (1, 0)
    assert champion.requests == 0


def test_what_is_not_picked_is_the_champions_and_counts_for_it(bench: Bench) -> None:
    watched = bench.watch.begin(Role.CANARY, share_percent=1e-9)
    assert bench.predict().role is Role.CHAMPION
    assert bench.triton.asked == [(CHAMPION, PNG, True)]
    assert watched.seen[Arm.CHAMPION].requests == 1
    assert watched.seen[Arm.CANDIDATE].requests == 0


@pytest.mark.parametrize(
    "failure",
    [
        ServerUnreachableError("x"),
        DeadlineExceededError("x"),
        NoModelServedError("x"),
        OverloadedError("x"),
        VisionOpsError("x"),
        CorruptMediaError("An image that the champion can use."),
    ],
)
def test_the_champion_answers_for_a_canary_that_fails(
    bench: Bench, failure: VisionOpsError
) -> None:
    watched = bench.watch.begin(Role.CANARY)
    bench.triton.outcomes[CANDIDATE] = failure
    assert bench.predict().role is Role.CHAMPION
    candidate, champion = watched.seen[Arm.CANDIDATE], watched.seen[Arm.CHAMPION]
    assert (candidate.requests, candidate.errors) == (1, 1)
    assert (champion.requests, champion.errors) == (1, 0)
    assert bench.triton.timeouts_s == [pytest.approx(5, abs=0.5), pytest.approx(10, abs=0.5)]


def test_an_image_that_neither_can_use_is_the_clients_fault(bench: Bench) -> None:
    watched = bench.watch.begin(Role.CANARY)
    for model in (CHAMPION, CANDIDATE):
        bench.triton.outcomes[model] = CorruptMediaError("It is cut off.")
    with pytest.raises(CorruptMediaError):
        bench.predict()
    assert [watched.seen[arm].requests for arm in Arm] == [0, 0]


def test_a_deadline_that_no_server_meets_counts_for_neither(bench: Bench) -> None:
    watched = bench.watch.begin(Role.CANARY)
    for model in (CHAMPION, CANDIDATE):
        bench.triton.outcomes[model] = DeadlineExceededError("x")
    for _ in range(10):
        with pytest.raises(DeadlineExceededError):
            bench.predict(allowed_s=0.5)
    assert [watched.seen[arm].errors for arm in Arm] == [0, 0]
    bench.triton.outcomes[CHAMPION] = inference()
    assert bench.predict().role is Role.CHAMPION


def test_a_shadow_is_asked_and_never_returned(bench: Bench) -> None:
    watched = bench.watch.begin(Role.SHADOW)
    answer = bench.predict()
    assert (answer.label, answer.role) == ("7", Role.CHAMPION)
    assert bench.triton.asked == [(CHAMPION, PNG, True), (CANDIDATE, PNG, True)]
    candidate, champion = watched.seen[Arm.CANDIDATE], watched.seen[Arm.CHAMPION]
    assert (candidate.requests, candidate.compared, candidate.agreed) == (1, 1, 0)
    assert champion.requests == 1


def test_a_shadow_that_fails_is_noticed_by_nobody_but_the_evidence(bench: Bench) -> None:
    watched = bench.watch.begin(Role.SHADOW)
    bench.triton.outcomes[CANDIDATE] = NoModelServedError("x")
    assert bench.predict().role is Role.CHAMPION
    assert (watched.seen[Arm.CANDIDATE].errors, watched.seen[Arm.CANDIDATE].compared) == (1, 0)


def test_comparisons_do_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BACKGROUND", 3)
    watched = bench.watch.begin(Role.SHADOW)
    # Predictions that never wait leave the background no turn until the last of them.
    bench.predict(times=10)
    assert watched.seen[Arm.CANDIDATE].compared == 3
    assert b"visionops_gateway_rollout_skipped_total 7.0" in bench.metrics.exposition()


def test_a_deadline_that_is_over_asks_nobody(bench: Bench) -> None:
    with pytest.raises(DeadlineExceededError):
        bench.predict(allowed_s=-1)
    assert bench.triton.asked == []


LARGE_BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 6_000, 5_000) + bytes(100)


def test_an_image_that_costs_too_much_is_refused_before_triton_is_asked() -> None:
    bench = Bench()
    with pytest.raises(TooManyPixelsError):
        asyncio.run(bench.predictor.predict(LARGE_BMP, Ask("a", time.monotonic() + 1)))
    assert bench.triton.asked == []
    assert Settings().max_predicted_image_pixels < Settings().max_image_pixels / 3


@pytest.mark.parametrize("name", ["AVIF", "JPEG2000", "PPM", "TGA"])
def test_a_format_for_the_sandbox_is_refused_before_triton_is_asked(name: str) -> None:
    bench = Bench()
    image = saved(picture(), name)
    with pytest.raises(UnsupportedEncodingError, match="to PNG or JPEG"):
        asyncio.run(bench.predictor.predict(image, Ask("a", time.monotonic() + 1)))
    assert bench.triton.asked == []


def test_a_costly_image_waits_for_the_one_before_and_a_small_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        module, "predicted_cost_s", lambda head, *_: 1.0 if head == COSTLY else 0.001
    )

    async def run() -> None:
        bench = Bench()
        bench.triton.is_held = asyncio.Event()

        def ask(client: str, image: bytes, allowed_s: float = 5.0) -> asyncio.Task[Any]:
            wishes = Ask("x", time.monotonic() + allowed_s, client=client)
            return asyncio.create_task(bench.predictor.predict(image, wishes))

        first, second = ask("a", COSTLY), ask("b", COSTLY)
        small = [ask(client, PNG) for client in "dcc"]
        await asyncio.sleep(0.01)
        assert bench.triton.images == [COSTLY, PNG, PNG, PNG]
        with pytest.raises(DeadlineExceededError, match="Other predictions came first"):
            await ask("e", COSTLY, 0.05)
        bench.triton.is_held.set()
        await asyncio.gather(first, second, *small)
        assert bench.triton.images[-1] == COSTLY

    asyncio.run(run())


@pytest.mark.parametrize("role", [Role.CANARY, Role.SHADOW])
def test_a_costly_image_is_not_asked_about_twice(
    monkeypatch: pytest.MonkeyPatch, role: Trying
) -> None:
    monkeypatch.setattr(module, "predicted_cost_s", lambda *_: 1.0)
    bench = Bench()
    bench.watch.begin(role)
    bench.predict()
    assert len(bench.triton.asked) == 1
