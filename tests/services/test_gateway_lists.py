"""A list of images takes the places that are free, and is content with one."""

import asyncio
from typing import cast
from uuid import uuid4

import pytest

from visionops_assets.contracts import Role
from visionops_assets.errors import OverloadedError
from visionops_assets.services.gateway.admission import Admission
from visionops_assets.services.gateway.answers import PredictionAnswer
from visionops_assets.services.gateway.lists import CONCURRENCY, predict_list
from visionops_assets.services.gateway.predictor import Ask, Predictor

IMAGES = [bytes([number]) for number in range(20)]
ASK = Ask("client", 0.0, client="client")


class Answers:
    """Answers each image after a while, with its number as the version."""

    def __init__(self) -> None:
        self.most = self.now = 0

    async def predict(self, image: bytes, _ask: Ask) -> PredictionAnswer:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return PredictionAnswer(
            prediction_id=uuid4(),
            label="a",
            labels=("a",),
            probability=1,
            probabilities={"a": 1},
            model_version=image[0],
            snapshot_id="s",
            role=Role.CHAMPION,
        )


def predict(places: int, taken: int, refusals: list[str]) -> tuple[list[int], int]:
    """Ask beside keys with a place each; return the answers' numbers, and the most at once."""
    answers = Answers()

    async def ask() -> list[int]:
        admission = Admission(places, refusals.append)
        async with asyncio.TaskGroup() as others:
            ending = asyncio.Event()

            async def other(number: int) -> None:
                async with admission.place(f"other-{number}"):
                    await ending.wait()

            for number in range(taken):
                others.create_task(other(number))
            await asyncio.sleep(0)
            try:
                found = await predict_list(cast("Predictor", answers), admission, IMAGES, ASK)
            except OverloadedError:
                return []
            finally:
                ending.set()
        return [result.prediction.model_version for result in found.results if result.prediction]

    return asyncio.run(ask()), answers.most


@pytest.mark.parametrize(
    ("places", "taken", "at_once"),
    [(1, 0, 1), (5, 4, 1), (5, 0, 2), (9, 1, 3), (64, 0, CONCURRENCY), (64, 3, CONCURRENCY)],
)
def test_a_list_takes_the_places_that_are_left(places: int, taken: int, at_once: int) -> None:
    """Helpers that find none are none: the list is answered by one place as well."""
    refusals: list[str] = []
    assert predict(places, taken, refusals) == (list(range(20)), at_once)
    assert refusals == []


def test_without_any_place_the_list_is_refused() -> None:
    refusals: list[str] = []
    assert predict(5, 5, refusals) == ([], 0)
    assert refusals == ["in_flight"]
