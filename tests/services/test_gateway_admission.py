import asyncio

import pytest

from visionops_assets.errors import OverloadedError
from visionops_assets.services.gateway.admission import Admission


@pytest.fixture
def refusals() -> list[str]:
    return []


def test_a_place_is_there_again_when_its_prediction_ends(refusals: list[str]) -> None:
    async def use() -> None:
        admission = Admission(1, refusals.append)
        async with admission.place():
            assert (admission.in_flight, admission.has_place()) == (1, False)
            with pytest.raises(OverloadedError) as error:
                admission.check()
            assert error.value.retry_after_s == 1
        assert (admission.in_flight, admission.has_place()) == (0, True)
        admission.check()

    asyncio.run(use())
    assert refusals == ["in_flight"]


def test_streams_wait_and_leave_half_of_the_places_to_others(refusals: list[str]) -> None:
    async def use() -> None:
        admission = Admission(4, refusals.append)
        ending = asyncio.Event()

        async def frame() -> None:
            async with admission.place_of_stream():
                await ending.wait()

        frames = [asyncio.create_task(frame()) for _ in range(6)]
        await asyncio.sleep(0)
        assert admission.in_flight == 2
        async with admission.place(), admission.place():
            assert admission.in_flight == 4
            with pytest.raises(OverloadedError):
                admission.check()
        ending.set()
        await asyncio.gather(*frames)
        assert admission.in_flight == 0

    asyncio.run(use())


def test_bytes_are_counted_over_all_requests_and_given_back(refusals: list[str]) -> None:
    admission = Admission(4, refusals.append, max_held_bytes=100)
    with admission.held_bytes() as first:
        first.add(60)
        with admission.held_bytes() as second:
            second.add(40)
            with pytest.raises(OverloadedError):
                second.add(1)
        with admission.held_bytes() as third:
            third.add(40)
    with admission.held_bytes() as fourth:
        fourth.add(100)
    assert refusals == ["memory"]
