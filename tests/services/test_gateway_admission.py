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
        async with admission.place("a"):
            assert (admission.in_flight, admission.has_place("a")) == (1, False)
            for key in ("a", "b"):
                with pytest.raises(OverloadedError) as error:
                    admission.check(key)
                assert error.value.retry_after_s == 1
        assert (admission.in_flight, admission.has_place("a")) == (0, True)
        admission.check("a")

    asyncio.run(use())
    assert refusals == ["in_flight"] * 2


def test_a_key_leaves_places_to_others(refusals: list[str]) -> None:
    async def use() -> None:
        admission = Admission(4, refusals.append)
        async with admission.place("a"), admission.place("a"):
            assert not admission.has_place("a")
            async with admission.place("b"):
                assert not admission.has_place("b")
                async with admission.place("c"):
                    assert not admission.has_place("d")

    asyncio.run(use())


def test_streams_wait_and_leave_half_of_the_places_to_others(refusals: list[str]) -> None:
    async def use() -> None:
        admission = Admission(8, refusals.append)
        ending = asyncio.Event()

        async def frame(key: str) -> None:
            async with admission.place_of_stream(key):
                await ending.wait()

        frames = [asyncio.create_task(frame(key)) for key in "aaabbbccc"]
        await asyncio.sleep(0)
        assert admission.in_flight == 4
        async with admission.place("a"), admission.place("a"), admission.place("b"):
            async with admission.place("b"):
                assert admission.in_flight == 8
            with pytest.raises(OverloadedError):
                admission.check("a")
        ending.set()
        await asyncio.gather(*frames)
        assert admission.in_flight == 0

    asyncio.run(use())


def test_a_frame_that_waits_gets_the_place_of_a_prediction_that_ended(
    refusals: list[str],
) -> None:
    async def use() -> None:
        admission = Admission(2, refusals.append)

        async def frame() -> None:
            async with admission.place_of_stream("c"):
                pass

        async with admission.place("a"):
            async with admission.place("b"):
                waiting = asyncio.create_task(frame())
                await asyncio.sleep(0.01)
                assert not waiting.done()
            await asyncio.wait_for(waiting, 1)

    asyncio.run(use())


def test_images_may_have_512_mib_in_all(refusals: list[str]) -> None:
    admission = Admission(4, refusals.append)
    admission.hold("a", 256 * 1024**2)
    with pytest.raises(OverloadedError, match="your share of 536,870,912 is taken"):
        admission.hold("a", 1)
    assert refusals == ["memory"]


def test_bytes_are_counted_over_all_requests_and_given_back(refusals: list[str]) -> None:
    admission = Admission(4, refusals.append, max_held_bytes=100)
    with admission.held_bytes("a") as first, admission.held_bytes("a") as second:
        first.add(30)
        second.add(20)
        with pytest.raises(OverloadedError):
            second.add(1)
        with admission.held_bytes("b") as other:
            other.add(33)
            with pytest.raises(OverloadedError):
                other.add(1)
    with admission.held_bytes("a") as third:
        third.add(50)
    assert refusals == ["memory"] * 2


def test_frames_and_predictions_together_have_no_more_places_than_there_are(
    refusals: list[str],
) -> None:
    async def use() -> None:
        admission = Admission(4, refusals.append)
        ending = asyncio.Event()

        async def frame(key: str) -> None:
            async with admission.place_of_stream(key):
                await ending.wait()

        async with admission.place("a"), admission.place("b"), admission.place("c"):
            frames = [asyncio.create_task(frame(key)) for key in "de"]
            await asyncio.sleep(0)
            assert admission.in_flight == 4
            assert not admission.has_place("f")
        async with admission.place("a"):
            await asyncio.sleep(0)
            assert admission.in_flight == 3
            async with admission.place("b"):
                assert not admission.has_place("c"), "two frames hold the others"
        ending.set()
        await asyncio.gather(*frames)

    asyncio.run(use())


@pytest.mark.parametrize(("places", "of_streams"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)])
def test_streams_have_half_of_the_places_and_at_least_one(
    refusals: list[str], places: int, of_streams: int
) -> None:
    async def use() -> None:
        admission = Admission(places, refusals.append)
        ending = asyncio.Event()

        async def frame(key: str) -> None:
            async with admission.place_of_stream(key):
                await ending.wait()

        frames = [asyncio.create_task(frame(str(number))) for number in range(places + 1)]
        await asyncio.sleep(0)
        assert admission.in_flight == of_streams
        ending.set()
        await asyncio.gather(*frames)

    asyncio.run(use())
