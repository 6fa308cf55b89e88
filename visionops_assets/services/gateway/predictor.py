"""Answers an image: cheap checks, then the champion or, during a rollout, the candidate.

A canary answers its share of the clients, and the champion is asked the same in the background, to
compare. A shadow is asked in the background, and nobody gets its answer.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from visionops_assets.contracts import Arm, Role
from visionops_assets.errors import (
    DeadlineExceededError,
    EmptyMediaError,
    MediaError,
    NoModelServedError,
    OverloadedError,
    TooLargeError,
    VisionOpsError,
)
from visionops_assets.resources.triton import CANDIDATE_SUFFIX
from visionops_assets.services.gateway.answers import PredictionAnswer
from visionops_assets.services.gateway.breaker import BreakerState
from visionops_assets.services.gateway.cost import predicted_cost_s
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.services.gateway.limits import Limits
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.rollouts import RolloutWatch, Watched
from visionops_assets.services.gateway.shares import COSTLY_S
from visionops_assets.services.gateway.unserved import Unserved
from visionops_assets.tasks.registry import serving
from visionops_assets.vision.inspection import check_image_header

HEADER_BYTES = 256 * 1024
"""Only these first bytes are looked at: the event loop must not walk through a hostile file."""
PATIENT_S = 1.0
"""If a deadline of at least this time is missed, it says something about the server."""
COMPARISON_S = 5.0
MAX_BACKGROUND = 16
"""Images that are compared at once. Further ones are not compared: predictions go first."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The wishes of a request: by when (monotonic clock), how many probabilities, and for whom.

    `key` picks the version that answers during a rollout, and `client` is the name of the API key,
    whose share it takes. `keep_image` asks for the image to be kept, so that it can be trained on
    once it has a label; `source` says where it comes from, by which filters may be chosen;
    `with_embedding` asks for the vector before the last layer.
    """

    key: str
    due_at_s: float
    top_k: int | None = None
    keep_image: bool = False
    client: str = ""
    source: str = ""
    with_embedding: bool = False

    def left_s(self) -> float:
        """Return the time that is left.

        Raises:
            DeadlineExceededError: none is.
        """
        left_s = self.due_at_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceededError(
                "The deadline of the request is over. Allow it more time.", public=True
            )
        return left_s


@dataclass(frozen=True, slots=True)
class Answered:
    """Triton's answer for one image, and the role of the version that gave it."""

    inference: Inference
    role: Literal[Role.CHAMPION, Role.CANARY]


class Predictor:
    """One model of one Triton, of one task."""

    def __init__(
        self,
        triton: TritonChannel,
        watch: RolloutWatch,
        unserved: Unserved,
        metrics: GatewayMetrics,
        limits: Limits,
        model_name: str,
        task: str,
        audit_percent: float,
    ) -> None:
        self.task = task
        self._serving = serving(task)
        self._triton = triton
        self._watch = watch
        self._unserved = unserved
        self._metrics = metrics
        self._model = model_name
        self._candidate = model_name + CANDIDATE_SUFFIX
        self._limits = limits
        self._audit_percent = audit_percent
        self._background: set[asyncio.Task[None]] = set()

    async def predict(self, image: bytes, ask: Ask) -> PredictionAnswer:
        """Predict one encoded image, as HTTP clients are answered.

        Raises:
            VisionOpsError: see `infer`.
        """
        answered = await self.infer(image, ask)
        return PredictionAnswer.of(
            answered.inference, answered.role, ask.top_k, self._audit_percent
        )

    async def infer(self, image: bytes, ask: Ask) -> Answered:
        """Let the champion or the candidate answer one encoded image.

        Raises:
            MediaError: the image cannot be used.
            NoModelServedError: no version of the model is loaded.
            OverloadedError: too many requests wait in Triton.
            ServerUnreachableError: Triton does not answer, or did not lately.
            DeadlineExceededError: the request's time is over.
        """
        if not image:
            raise EmptyMediaError("The image is empty.")
        if len(image) > self._limits.max_bytes:
            raise TooLargeError(f"The image has more than {self._limits.max_bytes:,} bytes.")
        head = image[:HEADER_BYTES]
        check_image_header(head, max_pixels=self._limits.max_pixels)
        cost_s = predicted_cost_s(head, len(image), self._limits.max_pixels)
        try:
            async with self._limits.turns.turn(ask.client, cost_s, ask.left_s()):
                return await self._answer(image, ask, is_costly=cost_s > COSTLY_S)
        except TimeoutError:
            raise DeadlineExceededError(
                "Other predictions came first until the time was over. Send fewer at once, smaller "
                "images, or allow them more time.",
                public=True,
            ) from None

    async def _answer(self, image: bytes, ask: Ask, *, is_costly: bool) -> Answered:
        watched = self._watch.current
        if watched is None:
            return Answered(await self._champion(image, ask), Role.CHAMPION)
        # Only the champion's requests find out that Triton does not answer.
        if (
            watched.picks(ask.key)
            and self._limits.breakers.state(ask.client) is BreakerState.CLOSED
        ):
            return await self._canary(watched, image, ask, is_costly=is_costly)
        inference = await self._compared_champion(watched, image, ask)
        if watched.shadows():
            self._later(lambda: self._shadow(watched, image, ask, inference), is_costly=is_costly)
        return Answered(inference, Role.CHAMPION)

    async def close(self) -> None:
        """Give up comparisons under way."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _champion(self, image: bytes, ask: Ask) -> Inference:
        left_s = ask.left_s()
        try:
            with self._limits.breakers.request(ask.client, is_patient=left_s >= PATIENT_S):
                return await self._triton.infer(
                    self._model,
                    image,
                    left_s,
                    task=self.task,
                    keep_image=ask.keep_image,
                    source=ask.source,
                    with_embedding=ask.with_embedding,
                )
        except OverloadedError:
            self._metrics.count_rejected("triton_queue")
            raise
        except NoModelServedError:
            raise await self._unserved.error() from None

    async def _compared_champion(self, watched: Watched, image: bytes, ask: Ask) -> Inference:
        started_s = time.monotonic()
        try:
            inference = await self._champion(image, ask)
        except VisionOpsError as error:
            if _is_servers_fault(error, ask.due_at_s - started_s):
                watched.fail(Arm.CHAMPION)
            raise
        watched.observe(Arm.CHAMPION, _ms_since(started_s))
        return inference

    async def _canary(
        self, watched: Watched, image: bytes, ask: Ask, *, is_costly: bool
    ) -> Answered:
        """Let the candidate answer, or the champion if the candidate fails."""
        started_s = time.monotonic()
        left_s = ask.left_s()
        try:
            # The champion gets the other half of the time, if it must answer.
            inference = await self._triton.infer(
                self._candidate,
                image,
                left_s / 2,
                task=self.task,
                keep_image=ask.keep_image,
                source=ask.source,
                with_embedding=ask.with_embedding,
            )
        except VisionOpsError as error:
            instead = await self._compared_champion(watched, image, ask)
            # The champion can use the image, so it is not the client's fault.
            if isinstance(error, MediaError) or _is_servers_fault(error, left_s):
                watched.fail(Arm.CANDIDATE)
            return Answered(instead, Role.CHAMPION)
        watched.observe(Arm.CANDIDATE, _ms_since(started_s))
        self._later(lambda: self._agreement(watched, image, ask, inference), is_costly=is_costly)
        return Answered(inference, Role.CANARY)

    async def _agreement(
        self, watched: Watched, image: bytes, ask: Ask, candidate: Inference
    ) -> None:
        """Ask the champion for the answer that a canary gave, only to compare."""
        champion = await self._triton.infer(
            self._model, image, COMPARISON_S, task=self.task, record=False, source=ask.source
        )
        watched.compare(agreed=self._serving.agrees(champion.answer, candidate.answer))

    async def _shadow(self, watched: Watched, image: bytes, ask: Ask, champion: Inference) -> None:
        """Ask the candidate for the answer that the champion gave."""
        started_s = time.monotonic()
        try:
            candidate = await self._triton.infer(
                self._candidate, image, COMPARISON_S, task=self.task, source=ask.source
            )
        except VisionOpsError:
            watched.fail(Arm.CANDIDATE)
            raise
        watched.observe(Arm.CANDIDATE, _ms_since(started_s))
        watched.compare(agreed=self._serving.agrees(champion.answer, candidate.answer))

    def _later(
        self, compare: Callable[[], Coroutine[None, None, None]], *, is_costly: bool
    ) -> None:
        """Compare in the background, if there is room. Costly images are not predicted twice."""
        if is_costly or len(self._background) >= MAX_BACKGROUND:
            self._metrics.count_skipped()
            return

        async def run() -> None:
            with suppress(VisionOpsError):  # It is counted elsewhere, and nobody waits for it.
                await compare()

        task = asyncio.create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _is_servers_fault(error: VisionOpsError, allowed_s: float) -> bool:
    """Say whether an arm failed. A deadline that is too short says nothing about the server."""
    if isinstance(error, DeadlineExceededError):
        return allowed_s >= PATIENT_S
    return not isinstance(error, MediaError)


def _ms_since(started_s: float) -> float:
    return (time.monotonic() - started_s) * 1000
