"""Predicts the images of one request at the same time. If one fails, the others are answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from visionops_assets.errors import VisionOpsError
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.answers import (
    ImageResult,
    ListAnswer,
    PredictionAnswer,
    Refusal,
)
from visionops_assets.services.gateway.predictor import Ask, Predictor

CONCURRENCY = 8
"""Images of one list under way at once, as far as there are places."""

_Answer = TypeVar("_Answer")


async def predict_list(
    predictor: Predictor, admission: Admission, images: Sequence[bytes | VisionOpsError], ask: Ask
) -> ListAnswer:
    """Predict each image that was received. The answer has one result per image, in order.

    Raises:
        OverloadedError: there is no place for the list.
        VisionOpsError: no image was answered, because of Triton.
    """
    return _answer(
        await outcomes_of(lambda i: predictor.predict(i, ask), admission, ask.client, images)
    )


async def outcomes_of(
    predict: Callable[[bytes], Awaitable[_Answer]],
    admission: Admission,
    client: str,
    images: Sequence[bytes | VisionOpsError],
) -> list[_Answer | VisionOpsError]:
    """Return what `predict` gives for each image, or raises, in the order of the images.

    Raises:
        OverloadedError: there is no place for the list.
    """
    outcomes: dict[int, _Answer | VisionOpsError] = {}
    waiting = iter(enumerate(images))

    async def work() -> None:
        # A free worker takes the next image: a slow image does not hold the others up.
        for place, image in waiting:
            outcomes[place] = await _outcome(predict, image)

    async def work_if_there_is_a_place() -> None:
        if admission.has_place(client):
            async with admission.place(client):
                await work()

    async with admission.place(client):
        helpers = min(CONCURRENCY, len(images)) - 1
        await asyncio.gather(work(), *(work_if_there_is_a_place() for _ in range(helpers)))
    return [outcomes[place] for place in range(len(images))]


async def _outcome(
    predict: Callable[[bytes], Awaitable[_Answer]], image: bytes | VisionOpsError
) -> _Answer | VisionOpsError:
    if isinstance(image, VisionOpsError):
        return image
    try:
        return await predict(image)
    except VisionOpsError as error:
        return error


def _answer(outcomes: Sequence[PredictionAnswer | VisionOpsError]) -> ListAnswer:
    results = []
    for outcome in outcomes:
        if isinstance(outcome, VisionOpsError):
            results.append(ImageResult(refusal=Refusal.of(outcome)))
        else:
            results.append(ImageResult(prediction=outcome))
    first = outcomes[0]
    if isinstance(first, VisionOpsError) and all(map(_came_at_a_bad_time, results)):
        # A 200 would not tell proxies and clients to come again.
        raise first
    return ListAnswer(results=results)


def _came_at_a_bad_time(result: ImageResult) -> bool:
    return result.refusal is not None and (
        result.refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or result.refusal.status == HTTPStatus.TOO_MANY_REQUESTS
    )
